//go:build linux

package control_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
)

// environment is a lookup function for RUNTIME_DIRECTORY alone.
func environment(runtimeDirectory string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		return runtimeDirectory, name == "RUNTIME_DIRECTORY" && runtimeDirectory != "unset"
	}
}

func TestAddress(t *testing.T) {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	abstract := "@cutover/" + namespace + "/4711"
	tests := []struct{ directory, want string }{
		{"/run/app", "/run/app/control.sock"},
		{"/run/app:/run/more", "/run/app/control.sock"},
		{"/run/app/", "/run/app/control.sock"},
		{"", abstract},
		{"unset", abstract},
		{"/" + strings.Repeat("d", 200), abstract},
	}
	for _, tt := range tests {
		if got := ask.Address(environment(tt.directory), 4711); got != tt.want {
			t.Errorf("Address with RUNTIME_DIRECTORY=%s = %q, want %q", tt.directory, got, tt.want)
		}
	}
}

// The test varies the length of the directory around the longest path of a unix socket,
// with the longest and the shortest process id.
func TestAddressFitsAUnixSocket(t *testing.T) {
	root := t.TempDir()
	for _, pid := range []int{1, 4194304} { // 4194304 is the most that pid_max can be
		for length := len(root) + 2; length <= 110; length++ {
			dir := root + "/" + strings.Repeat("d", length-len(root)-1)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			address := ask.Address(environment(dir), pid)
			l, err := control.Listen(address, pid)
			if err != nil {
				t.Errorf("pid %d, directory of %d bytes: %v", pid, length, err)
				continue
			}
			if err := l.Publish(0); err != nil {
				t.Error(err)
			}
			if err := l.Close(true); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAddressesOfTwoProcessesDiffer(t *testing.T) {
	a, b := ask.Address(environment("unset"), 1), ask.Address(environment("unset"), 2)
	if a == b || !strings.HasSuffix(a, "/"+strconv.Itoa(1)) {
		t.Errorf("processes 1 and 2 have the addresses %q and %q", a, b)
	}
}
