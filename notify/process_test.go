//go:build linux

package notify_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A service is the test binary, playing one.
type service struct {
	*exec.Cmd
	stderr bytes.Buffer
}

// newService returns a service that is not started yet, with the environment env
// and nothing else of this kind.
func newService(t testing.TB, name string, env ...string) *service {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Cmd: exec.CommandContext(t.Context(), exe)}
	// Else the race detector waits a second before it lets a process exit.
	s.Env = append(env, serviceVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	s.Stderr = &s.stderr
	return s
}

// mustSucceed waits for the end of the service.
func (s *service) mustSucceed(t testing.TB) {
	t.Helper()
	if err := s.Wait(); err != nil {
		t.Errorf("service: %v: %s", err, &s.stderr)
	}
}

func TestServiceIsSeenAsItself(t *testing.T) {
	m := newManager(t)
	s := newService(t, "ordinary", "NOTIFY_SOCKET="+m.address, "WATCHDOG_USEC=3000000", "FDSTORE=8")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	started, stored := m.next(t), m.next(t)
	m.answerBarrier(t)
	s.mustSucceed(t)

	started.want(t, "READY=1\nSTATUS=watchdog 3s, store 8", 0)
	stored.want(t, "FDSTORE=1\nFDNAME=pipe", 1)
	for _, got := range []message{started, stored} {
		if got.pid != s.Process.Pid {
			t.Errorf("message %q from %d, want %d", got.text, got.pid, s.Process.Pid)
		}
	}
	if got := contents(t, stored.files[0]); got != "state" {
		t.Errorf("stored pipe has %q, want %q", got, "state")
	}
}

func TestWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	m := newManager(t)
	s := newService(t, "ordinary", "NOTIFY_SOCKET="+m.address, "WATCHDOG_USEC=3000000", "WATCHDOG_PID=1")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	m.next(t).want(t, "READY=1\nSTATUS=watchdog 0s, store 0", 0)
	m.next(t)
	m.answerBarrier(t)
	s.mustSucceed(t)
}

func TestServiceWithoutManagerRunsAlike(t *testing.T) {
	for _, env := range []string{"", "NOTIFY_SOCKET="} {
		s := newService(t, "alone", env)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		s.mustSucceed(t)
	}
}

func TestServiceIsToldWhatIsWrongWithItsEnvironment(t *testing.T) {
	tests := []struct{ env, want string }{
		{"NOTIFY_SOCKET=relative", `address "relative": neither an absolute path`},
		{"NOTIFY_SOCKET=/nonexistent/notify", "BindReadOnlyPaths=/run/systemd/notify"},
	}
	for _, test := range tests {
		s := newService(t, "ordinary", test.env)
		if err := s.Run(); err == nil || !strings.Contains(s.stderr.String(), test.want) {
			t.Errorf("%s: %v: %s, want %q", test.env, err, &s.stderr, test.want)
		}
	}
}

// The kernel refuses a descriptor with ETOOMANYREFS while more of the user's are
// on their way than RLIMIT_NOFILE allows.
func TestStoreWaitsUntilOtherDescriptorsHaveArrived(t *testing.T) {
	m := newManager(t)
	s := newService(t, "crowded", "NOTIFY_SOCKET="+m.address)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.mustSucceed(t)
	m.next(t).want(t, "FDSTORE=1\nFDNAME=stdin", 1)
}
