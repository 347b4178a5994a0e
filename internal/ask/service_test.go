package ask_test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/ask"
)

// A service can write to its environment, and the reload command may run as root.
func TestOnlyAStatusFollowsTheEnvironmentOfTheMainProcess(t *testing.T) {
	dir := t.TempDir()
	main := exec.Command("cat") // ends with its input
	main.Env = []string{"RUNTIME_DIRECTORY=" + dir}
	in, err := main.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := main.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := main.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = in.Close(), main.Wait() }() // cat has no result
	_, _ = in.Write([]byte("\n"))
	if _, err := out.Read(make([]byte, 1)); err != nil { // else /proc may not have its environment yet
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) { return strconv.Itoa(main.Process.Pid), name == "MAINPID" }
	for verb, want := range map[string]bool{ask.Status: true, ask.Upgrade: false} {
		_, err := ask.Service(t.Context(), lookup, ask.Request{Verb: verb})
		if err == nil {
			t.Fatalf("%s: cat has answered", verb)
		}
		if got := strings.Contains(err.Error(), dir); got != want {
			t.Errorf("%s: %v; connects in the directory of the environment: %v, want %v", verb, err, got, want)
		}
	}
}
