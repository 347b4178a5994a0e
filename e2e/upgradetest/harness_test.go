//go:build linux

package upgradetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"golang.org/x/sys/unix"
)

// A theatre is a manager and the place where its puppets report.
type theatre struct {
	*upgradetest.Manager
	t        *testing.T
	ctx      context.Context
	listener net.Listener
	puppets  chan *remote
}

// newTheatre starts a manager; what the test leaves running ends with it.
func newTheatre(t *testing.T, version int) *theatre {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "puppets-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "puppet")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := upgradetest.NewManager(upgradetest.Options{Version: version, Env: []string{"PUPPET=" + path, "GORACE=atexit_sleep_ms=0"}})
	if err != nil {
		t.Fatal(err)
	}
	th := &theatre{Manager: m, t: t, ctx: ctx, listener: l, puppets: make(chan *remote, 16)}
	var wg sync.WaitGroup
	wg.Go(func() { th.accept(&wg) })
	t.Cleanup(func() {
		if t.Failed() {
			th.dump()
		}
		l.Close()
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wg.Wait()
	})
	return th
}

func (th *theatre) dump() {
	for _, unit := range []string{"a.service", "a.socket", "b.service"} {
		if text, err := th.Log(th.ctx, unit); err == nil {
			th.t.Logf("--- log of %s\n%s", unit, text)
		}
		for _, m := range th.Messages(unit) {
			th.t.Logf("%+v", m)
		}
	}
}

// accept ends when the listener is closed; each puppet's reader when it is gone.
func (th *theatre) accept(wg *sync.WaitGroup) {
	for {
		c, err := th.listener.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { th.attend(c) })
	}
}

// attend reads what a puppet says.
func (th *theatre) attend(c net.Conn) {
	defer c.Close()
	in := json.NewDecoder(c)
	r := &remote{th: th, out: json.NewEncoder(c), answers: make(chan answer, 16), signals: make(chan string, 16), gone: make(chan struct{})}
	defer close(r.gone)
	if in.Decode(&r.hello) != nil {
		return
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	th.puppets <- r
	defer func() { // the connection is closed a little before the process is gone
		for errors.Is(waitPidfd(fd), unix.EINTR) {
		}
	}()
	for {
		var a answer
		if in.Decode(&a) != nil {
			return
		}
		if a.Signal != "" {
			r.signals <- a.Signal
		} else {
			r.answers <- a
		}
	}
}

func waitPidfd(fd int) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
	return err
}

// A remote is the test's side of a puppet.
type remote struct {
	hello
	th      *theatre
	out     *json.Encoder
	answers chan answer
	signals chan string
	gone    chan struct{} // closed when the process has ended
}

// next returns the puppet that connects next.
func (th *theatre) next() *remote {
	th.t.Helper()
	select {
	case r := <-th.puppets:
		return r
	case <-th.ctx.Done():
		th.t.Fatal("no puppet came")
		return nil
	}
}

// do has the puppet obey and returns its answer.
func (r *remote) do(what, text string, n int) answer {
	r.th.t.Helper()
	if err := r.out.Encode(order{what, []byte(text), n}); err != nil {
		r.th.t.Fatalf("order %s: %v", what, err)
	}
	select {
	case a := <-r.answers:
		if a.Err != "" {
			r.th.t.Fatalf("order %s %q: %s", what, text, a.Err)
		}
		return a
	case <-r.gone:
		r.th.t.Fatalf("order %s: the puppet is gone", what)
	case <-r.th.ctx.Done():
		r.th.t.Fatalf("order %s: no answer", what)
	}
	return answer{}
}

// notify sends a notification and returns when the manager has read it.
func (r *remote) notify(lines ...string) {
	r.th.t.Helper()
	r.do("notify", strings.Join(lines, "\n"), 0)
	r.do("barrier", "", 0)
}

// store keeps a descriptor of a kind and sends it with lines.
func (r *remote) store(kind string, lines ...string) {
	r.th.t.Helper()
	r.do("keep", kind+" it", 0)
	r.do("store", strings.Join(lines, "\n")+"\x00it", 0)
	r.do("barrier", "", 0)
}

// exit ends the puppet.
func (r *remote) exit(status int) {
	r.th.t.Helper()
	if err := r.out.Encode(order{Do: "exit", N: status}); err != nil {
		r.th.t.Fatalf("order exit: %v", err)
	}
}

// awaitSignal returns when the puppet has got the signal, the next it gets.
func (r *remote) awaitSignal(want string) {
	r.th.t.Helper()
	select {
	case got := <-r.signals:
		if got != want {
			r.th.t.Fatalf("puppet %d got %s, want %s", r.PID, got, want)
		}
	case <-r.th.ctx.Done():
		r.th.t.Fatalf("puppet %d did not get %s", r.PID, want)
	}
}

// awaitGone returns when the process has ended.
func (r *remote) awaitGone() {
	r.th.t.Helper()
	select {
	case <-r.gone:
	case <-r.th.ctx.Done():
		r.th.t.Fatalf("puppet %d does not end", r.PID)
	}
}

// install installs a.service that runs a puppet, with more lines for [Service];
// PUPPET in them is the command of another, HANG one that does nothing.
func (th *theatre) install(lines ...string) {
	th.t.Helper()
	if err := th.tryInstall("a.service", append([]string{"[Service]", "ExecStart=PUPPET main"}, lines...)...); err != nil {
		th.t.Fatal(err)
	}
}

// installUnit installs any unit.
func (th *theatre) installUnit(name string, lines ...string) {
	th.t.Helper()
	if err := th.tryInstall(name, lines...); err != nil {
		th.t.Fatal(err)
	}
}

func (th *theatre) tryInstall(name string, lines ...string) error {
	th.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		th.t.Fatal(err)
	}
	text := strings.Join(lines, "\n") + "\n"
	return th.Install(th.ctx, name, strings.NewReplacer("PUPPET", exe+" "+puppetArg, "HANG", exe+" "+hangArg).Replace(text))
}

// awaitLog waits until the log of a.service has the text.
func (th *theatre) awaitLog(text string) {
	th.t.Helper()
	err := th.Wait(th.ctx, "a.service", func(map[string]string) bool {
		log, err := th.Log(th.ctx, "a.service")
		return err == nil && strings.Contains(log, text)
	})
	if err != nil {
		th.t.Fatalf("the log has no %q: %v", text, err)
	}
}

// must fails the test if err is one; for calls whose success is not the point.
func (th *theatre) must(err error) {
	th.t.Helper()
	if err != nil {
		th.t.Fatal(err)
	}
}

// wantExit fails unless err is what systemctl would have said.
func (th *theatre) wantExit(err error, code int, text string) {
	th.t.Helper()
	var exit *upgradetest.ExitError
	if !errors.As(err, &exit) || exit.Code != code || !strings.Contains(exit.Stderr, text) {
		th.t.Errorf("got %v, want exit status %d and %q", err, code, text)
	}
}

// logged fails unless the log of a.service has the text.
func (th *theatre) logged(text string) {
	th.t.Helper()
	if log, err := th.Log(th.ctx, "a.service"); err != nil || !strings.Contains(log, text) {
		th.t.Errorf("the log has no %q (%v)", text, err)
	}
}

// begin starts what in another goroutine and returns a function that waits for
// its end.
func (th *theatre) begin(what func(ctx context.Context, unit string) error) (outcome func() error) {
	done := make(chan error, 1)
	go func() { done <- what(th.ctx, "a.service") }() // ends with th.ctx; outcome waits for it
	return func() error { return <-done }
}

// startNotify starts a.service, a puppet that says READY=1.
func (th *theatre) startNotify() *remote {
	th.t.Helper()
	outcome := th.begin(th.Start)
	p := th.next()
	p.notify("READY=1")
	if err := outcome(); err != nil {
		th.t.Fatal(err)
	}
	return p
}

// want fails unless the properties, "Name=value" each, are those of a.service.
func (th *theatre) want(properties ...string) {
	th.t.Helper()
	for _, p := range properties {
		name, want, _ := strings.Cut(p, "=")
		got, err := th.Show(th.ctx, "a.service", name)
		if err != nil || got != want {
			th.t.Errorf("%s of a.service = %q, %v, want %q", name, got, err, want)
		}
	}
}

// await waits until the properties are those of a.service.
func (th *theatre) await(properties ...string) {
	th.t.Helper()
	err := th.Wait(th.ctx, "a.service", func(have map[string]string) bool {
		for _, p := range properties {
			if name, want, _ := strings.Cut(p, "="); have[name] != want {
				return false
			}
		}
		return true
	})
	if err != nil {
		th.t.Fatal(err)
	}
}
