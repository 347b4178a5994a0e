//go:build linux

package upgradetest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/probe"
	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/internal/testproc"
)

// A scene is a manager and the place where its probes report.
type scene struct {
	*upgradetest.Manager
	t      *testing.T
	ctx    context.Context
	probes chan *testproc.Process
}

// newScene starts a manager; what the test leaves running ends with it.
func newScene(t *testing.T, version int) *scene {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "probes-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "probe")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := upgradetest.NewManager(upgradetest.Options{Version: version, Env: []string{probe.Address + "=" + path, "GORACE=atexit_sleep_ms=0"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{Manager: m, t: t, ctx: ctx, probes: make(chan *testproc.Process, 16)}
	done := make(chan struct{})
	go func() { // ends with the listener and the probes
		defer close(done)
		testproc.Accept(l, func(p *testproc.Process) bool { s.probes <- p; return true })
	}()
	t.Cleanup(func() {
		if t.Failed() {
			s.dump()
		}
		l.Close()
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		<-done
	})
	return s
}

func (s *scene) dump() {
	for _, unit := range []string{"a.service", "a.socket", "b.service"} {
		if text, err := s.Log(s.ctx, unit); err == nil {
			s.t.Logf("--- log of %s\n%s", unit, text)
		}
		for _, m := range s.Messages(unit) {
			s.t.Logf("%+v", m)
		}
	}
}

// next returns the probe that connects next.
func (s *scene) next() *probe.Probe {
	s.t.Helper()
	select {
	case p := <-s.probes:
		return probe.New(p, s.t, s.ctx, s.next)
	case <-s.ctx.Done():
		s.t.Fatal("no probe came")
		return nil
	}
}

// awaitEnd returns when the process has ended: its connection is closed a little before.
func (s *scene) awaitEnd(p *probe.Probe) {
	s.t.Helper()
	p.AwaitGone()
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	s.must(err)
	defer unix.Close(fd)
	for n := 0; n == 0 && err == nil || errors.Is(err, unix.EINTR); {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
	}
	s.must(err)
}

// install installs a.service that runs a probe, with more lines for [Service]; PROBE in
// them is the command of another, HANG one that does nothing.
func (s *scene) install(lines ...string) {
	s.t.Helper()
	s.installUnit("a.service", append([]string{"[Service]", "ExecStart=PROBE main"}, lines...)...)
}

// installUnit installs any unit.
func (s *scene) installUnit(name string, lines ...string) {
	s.t.Helper()
	exe, err := os.Executable()
	s.must(err)
	text := strings.Join(lines, "\n") + "\n"
	s.must(s.Install(s.ctx, name, strings.NewReplacer("PROBE", exe+" "+probeArg, "HANG", exe+" "+hangArg).Replace(text)))
}

// awaitLog waits until the log of a.service has the text.
func (s *scene) awaitLog(text string) {
	s.t.Helper()
	err := s.Wait(s.ctx, "a.service", func(map[string]string) bool {
		log, err := s.Log(s.ctx, "a.service")
		return err == nil && strings.Contains(log, text)
	})
	if err != nil {
		s.t.Fatalf("the log has no %q: %v", text, err)
	}
}

// must fails the test if err is one; for calls whose success is not the point.
func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// wantExit fails unless err is what systemctl would have said.
func (s *scene) wantExit(err error, code int, text string) {
	s.t.Helper()
	var exit *upgradetest.ExitError
	if !errors.As(err, &exit) || exit.Code != code || !strings.Contains(exit.Stderr, text) {
		s.t.Errorf("got %v, want exit status %d and %q", err, code, text)
	}
}

// logged fails unless the log of a.service has the text.
func (s *scene) logged(text string) {
	s.t.Helper()
	if log, err := s.Log(s.ctx, "a.service"); err != nil || !strings.Contains(log, text) {
		s.t.Errorf("the log has no %q (%v)", text, err)
	}
}

// begin starts a job for a.service and returns a function that waits for its end.
func (s *scene) begin(job func(ctx context.Context, unit string) error) (outcome func() error) {
	done := make(chan error, 1)
	go func() { done <- job(s.ctx, "a.service") }() // ends with s.ctx; outcome waits for it
	return func() error { return <-done }
}

// start starts a.service and has its probe say READY=1.
func (s *scene) start() *probe.Probe {
	s.t.Helper()
	return s.startBy(s.Start)
}

// restart restarts a.service likewise.
func (s *scene) restart() *probe.Probe {
	s.t.Helper()
	return s.startBy(s.Restart)
}

func (s *scene) startBy(job func(ctx context.Context, unit string) error) *probe.Probe {
	s.t.Helper()
	outcome := s.begin(job)
	p := s.next()
	p.Send("READY=1")
	s.must(outcome())
	return p
}

// want fails unless the properties, "Name=value" each, are those of a.service.
func (s *scene) want(properties ...string) {
	s.t.Helper()
	for _, p := range properties {
		name, want, _ := strings.Cut(p, "=")
		got, err := s.Show(s.ctx, "a.service", name)
		if err != nil || got != want {
			s.t.Errorf("%s of a.service = %q, %v, want %q", name, got, err, want)
		}
	}
}

// await waits until the properties are those of a.service.
func (s *scene) await(properties ...string) {
	s.t.Helper()
	err := s.Wait(s.ctx, "a.service", func(have map[string]string) bool {
		for _, p := range properties {
			if name, want, _ := strings.Cut(p, "="); have[name] != want {
				return false
			}
		}
		return true
	})
	s.must(err)
}

// served has p serve a client that has said ping.
func (s *scene) served(client io.Reader, p *probe.Probe) {
	s.t.Helper()
	came := p.Do("serve", strings.Fields(p.Names())[0], "0")
	if reply, err := io.ReadAll(client); came != "ping" || string(reply) != "pong" || err != nil {
		s.t.Errorf("the probe reads %q, want ping; the client reads %q, %v, want pong", came, reply, err)
	}
}
