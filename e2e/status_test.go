package e2e

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// An operator asks for the status with no variable set: after a start, while a generation
// drains, after a failed upgrade with the broken file on disk, with clients in the queue, and
// of a service that does not run.
func TestOperatorSeesTheStatus(t *testing.T) {
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		v1, v2 := example(t, "v1"), example(t, "v2") // building them takes longer than the request below
		s := emptySite(t, root)
		d := daemon(root.Version)
		files, err := d.Units()
		s.must(err)
		s.put(files)
		defer s.clear(files)
		s.must(s.machine.CopyFile(program(t, "../units/cmd/sdunits", "v1"), sdunitsPath))
		s.says(false, "cutover-http.service: inactive", "the service has no main process")
		s.deploy(v1)
		s.must(s.machine.Start(s.ctx, unitName))
		s.says(true, "cutover-http.service: active", "generation    1, serving", "serves since", "socket        http: tcp "+address+", 0 of 4096 connections wait")

		s.deploy(v2)
		s.says(true, "another file has this path now")
		s.background("/sleep?d=15s")
		s.must(s.machine.Reload(s.ctx, unitName))
		text := s.says(true, "generation    2, serving", "last upgrade", ", done", "draining      1 older, 1 connections")
		if strings.Contains(text, "another file") {
			t.Errorf("after the upgrade: %s", text)
		}

		s.must(s.machine.CopyFile(v2, "/usr/local/bin/cutover-v2"))
		s.deploy(script(t, 0o755, `[ "$1" = reload ] && exec /usr/local/bin/cutover-v2 "$@"; exit 7`))
		s.reloads(1)
		s.says(true, "generation    2, serving", "undone: ", "another file has this path now")
		s.asJSON()

		pid := s.mainPID()
		s.must(s.machine.Signal(pid, syscall.SIGSTOP))
		if out, ok := s.run(sdunitsPath, "status", "-timeout", "200ms", "cutover-http"); ok || !strings.Contains(out, "no answer") {
			t.Errorf("of a process that hangs: %s", out)
		}
		s.must(s.machine.Signal(pid, syscall.SIGCONT))
		if out, ok := s.run("sh", "-c", "MAINPID=$(systemctl show -P MainPID cutover-http) "+sdunitsPath+" status nothing"); ok || !strings.Contains(out, "no such unit") {
			t.Errorf("of a unit that is not there: %s", out)
		}
	})
}

// says expects words in the status, and returns it.
func (s *site) says(answers bool, words ...string) string {
	s.Helper()
	out, ok := s.run(sdunitsPath, "status", "cutover-http")
	if ok != answers {
		s.Errorf("exit status 0: %v, want %v", ok, answers)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			s.Errorf("the status lacks %q:\n%s", w, out)
		}
	}
	s.Logf("\n%s", out)
	return out
}

func (s *site) asJSON() {
	s.Helper()
	var status struct {
		MainPID  int `json:"main_pid"`
		Replaced bool
		Answer   struct {
			Generation int
			Detail     struct {
				Sockets []struct{ Name string }
				Last    struct{ Error string } `json:"last_upgrade"`
			}
		}
	}
	out, ok := s.run(sdunitsPath, "status", "-json", "cutover-http")
	if err := json.Unmarshal([]byte(out), &status); err != nil || !ok {
		s.Fatalf("%v: %s", err, out)
	}
	a := status.Answer
	if status.MainPID != s.mainPID() || !status.Replaced || a.Generation != 2 || len(a.Detail.Sockets) != 1 || a.Detail.Last.Error == "" {
		s.Errorf("%+v in %s", status, out)
	}
}
