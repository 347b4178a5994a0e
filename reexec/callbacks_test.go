//go:build linux

package reexec

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
	"github.com/cutover-go/cutover/reexec/internal/saved"
)

// tests wait so long for what has to come. It says that something hangs.
const patience = 2 * time.Minute

// atOnce is the context of calls that would wait for something else.
func atOnce() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	time.AfterFunc(time.Second, cancel)
	return ctx
}

// methods are those of an Upgrader that a callback may call.
var methods = map[string]func(u *Upgrader){
	"Status":     func(u *Upgrader) { u.Status() },
	"Generation": func(u *Upgrader) { u.Generation() },
	"Draining":   func(u *Upgrader) { u.Draining(); u.Stopping() },
	"OnDrain":    func(u *Upgrader) { u.OnDrain(func() {})() },
	"Hold":       func(u *Upgrader) { u.Hold()() },
	"Ready":      func(u *Upgrader) { _ = u.Ready(atOnce()) },
	"Upgrade":    func(u *Upgrader) { _ = u.Upgrade(atOnce()) },
	"Drain":      func(u *Upgrader) { _ = u.Drain(atOnce()) },
	"Checkpoint": func(u *Upgrader) { _ = u.Checkpoint(atOnce()) },
	"Stop":       (*Upgrader).Stop,
	"Fail":       func(u *Upgrader) { u.Fail(errors.New("a callback has failed")) },
	"Close":      func(u *Upgrader) { _ = u.Close() },
	"Listen":     func(u *Upgrader) { _, _ = u.Listen(atOnce(), "late", "tcp", "127.0.0.1:0") },
	"Save":       func(u *Upgrader) { _ = u.Save("late", func() (State, error) { return State{}, nil }) },
	"Receive":    func(u *Upgrader) { _ = u.Receive("late", "late/1") },
	"Claim":      func(u *Upgrader) { _, _ = u.Claim("late") },
	"Notifier":   func(u *Upgrader) { u.Notifier() },
	"Secret":     func(u *Upgrader) { _, _ = u.Secret("late") },
	"Restore":    func(u *Upgrader) { _ = u.Restore("late", func(State) error { return nil }) },
	"ListenFunc": func(u *Upgrader) {
		_, _ = u.ListenFunc("late", func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") })
	},
	"ListenFlows": func(u *Upgrader) {
		_, _, _ = u.ListenFlows(atOnce(), "late", "udp", "127.0.0.1:0", func([]byte, netip.AddrPort) uint32 { return 0 })
	},
	"WaitForPredecessor": func(u *Upgrader) { _ = u.WaitForPredecessor(atOnce()) },
	"Keep": func(u *Upgrader) {
		if k, err := u.Keep("late", os.Stdin); err == nil {
			_ = k.Forget()
		}
	},
	"Move": func(u *Upgrader) {
		a, b := connected()
		defer a.Close()
		defer b.Close()
		_ = u.Move(atOnce(), "a", a, "a/1", nil)
	},
	"Offer": func(u *Upgrader) {
		a, b := connected()
		defer b.Close()
		protocol.Of(u).Offer("a", a, "a/1", nil, func(error) { _ = a.Close() })
	},
}

// connected returns two ends of a connection.
func connected() (a, b net.Conn) {
	x, y, err := fd.Pair()
	if err != nil {
		panic(err)
	}
	a, err = x.Conn()
	if err == nil {
		b, err = y.Conn()
	}
	if err != nil {
		panic(err)
	}
	return a, b
}

// A caller is a callback of the program: run makes an Upgrader that calls f from it,
// once, and comes back before f returns.
type caller struct {
	name string
	run  func(t *testing.T, f func()) *Upgrader
}

// made returns an Upgrader whose successors end at once. Without Next it would start the tests
// again.
func made(t *testing.T, o Options) *Upgrader {
	t.Helper()
	if o.Next == nil {
		o.Next = func(Command) (Command, error) { return Command{Path: "/bin/false", Args: []string{"false"}}, nil }
	}
	u, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func ready(t *testing.T, u *Upgrader) *Upgrader {
	t.Helper()
	if err := u.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	return u
}

var callers = []caller{
	{"Next", func(t *testing.T, f func()) *Upgrader {
		u := ready(t, made(t, Options{Next: func(c Command) (Command, error) { f(); return c, errors.New("no") }}))
		go u.Upgrade(context.Background()) // ends with f
		return u
	}},
	{"Observe", func(t *testing.T, f func()) *Upgrader {
		u := ready(t, made(t, Options{
			Next:    func(c Command) (Command, error) { return c, errors.New("no") },
			Observe: func(Event) { f() },
		}))
		go u.Upgrade(context.Background()) // comes to nothing
		return u
	}},
	{"Logger", func(t *testing.T, f func()) *Upgrader {
		return ready(t, made(t, Options{Logger: slog.New(handler{f})}))
	}},
	{"Save", func(t *testing.T, f func()) *Upgrader {
		u := made(t, Options{})
		_ = u.Save("s", func() (State, error) { f(); return State{}, nil })
		ready(t, u)
		go u.saveState(event{kind: lifecycle.EvSaving}) // as an upgrade; ends with f
		return u
	}},
	{"Restore", func(t *testing.T, f func()) *Upgrader {
		u := made(t, Options{})
		_ = u.Restore("s", func(State) error { f(); return nil })
		file, err := saved.Encode("s", saved.State{})
		if err != nil {
			t.Fatal(err)
		}
		u.states.Put("s", file)
		go u.Ready(context.Background()) // ends with f, or a stop
		return u
	}},
	{"limit", func(t *testing.T, f func()) *Upgrader {
		u := made(t, Options{})
		if _, err := u.Listen(context.Background(), "a", "tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		_ = protocol.Of(u).ReceiveIdle("a", func([]byte) time.Duration { f(); return 0 }, "a/1")
		ready(t, u)
		a, b := connected()
		t.Cleanup(func() { _ = b.Close() })
		d, err := fd.DupOf(a.(syscall.Conn))
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Close()
		u.loop.post(event{kind: lifecycle.EvReceived, message: handover.Connections{Connections: []handover.Connection{{Name: "a", Format: "a/1"}}, FDs: []*fd.FD{d}}})
		return u
	}},
	{"OnDrain", func(t *testing.T, f func()) *Upgrader {
		u := ready(t, made(t, Options{}))
		u.OnDrain(f)
		u.endings.Drains() // as after a commit
		return u
	}},
	{"bind", func(t *testing.T, f func()) *Upgrader {
		u := made(t, Options{})
		go u.ListenFunc("b", func() (net.Listener, error) { // ends with f
			defer func() { _ = recover() }() // f may panic, and ListenFunc with it
			f()
			return nil, errors.New("no")
		})
		return u
	}},
	{"done", func(t *testing.T, f func()) *Upgrader {
		u := ready(t, made(t, Options{}))
		u.conns.outbox.SetNext(map[string][]string{"a": {"a/1"}}, nil) // so that the loop answers
		a, b := connected()
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		protocol.Of(u).Offer("a", a, "a/1", nil, func(error) { f() })
		return u
	}},
	{"route", func(t *testing.T, f func()) *Upgrader {
		u := made(t, Options{})
		c, _, err := u.ListenFlows(context.Background(), "q", "udp", "127.0.0.1:0", func([]byte, netip.AddrPort) uint32 { f(); return 0 })
		if err != nil {
			t.Fatal(err)
		}
		ready(t, u)
		go func() { // ends when c is closed
			defer func() { _ = recover() }() // f may panic
			for b := make([]byte, 100); ; {
				if _, _, err := c.ReadFrom(b); err != nil {
					return
				}
			}
		}()
		d, err := net.Dial("udp", c.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		_, _ = d.Write([]byte("x"))
		return u
	}},
}

// handler is a slog.Handler that calls f.
type handler struct{ f func() }

func (h handler) Enabled(context.Context, slog.Level) bool  { return true }
func (h handler) Handle(context.Context, slog.Record) error { h.f(); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h handler) WithGroup(string) slog.Handler             { return h }

// returns fails if done is never closed.
func returns(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		all := make([]byte, 1<<20)
		t.Fatalf("%s hangs\n%s", what, all[:runtime.Stack(all, true)])
	}
}

// within fails if f hangs.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }() // ends with f
	returns(t, what, done)
}

// entered runs the callback up to its first call, which then waits for goOn, calls
// what, and closes returned.
func entered(t *testing.T, c caller, what func(u *Upgrader)) (u *Upgrader, goOn func(), returned <-chan struct{}) {
	t.Helper()
	in, gate, out := make(chan struct{}), make(chan *Upgrader, 1), make(chan struct{})
	var once sync.Once
	u = c.run(t, func() {
		once.Do(func() {
			close(in)
			u := <-gate
			defer close(out)
			what(u)
		})
	})
	returns(t, "the callback", in)
	return u, func() { gate <- u }, out
}

func TestEveryCallbackMayCallEveryMethod(t *testing.T) {
	for _, c := range callers {
		for name, method := range methods {
			t.Run(c.name+" calls "+name, func(t *testing.T) {
				u, goOn, returned := entered(t, c, method)
				goOn()
				returns(t, name, returned)
				within(t, "Close", func() { _ = u.Close() })
			})
			t.Run(c.name+" calls "+name+" in a stop", func(t *testing.T) {
				u, goOn, returned := entered(t, c, method)
				within(t, "Stop", u.Stop)
				goOn()
				returns(t, name, returned)
				within(t, "Close", func() { _ = u.Close() })
			})
		}
	}
}

func TestCallbackThatBlocksDoesNotStopTheProcess(t *testing.T) {
	for _, c := range callers {
		t.Run(c.name, func(t *testing.T) {
			release := make(chan struct{})
			u, goOn, returned := entered(t, c, func(*Upgrader) { <-release })
			goOn()
			within(t, "Status", func() { u.Status() })
			within(t, "Stop", u.Stop)
			within(t, "Drain", func() { _ = u.Drain(atOnce()) })
			within(t, "Ready", func() { _ = u.Ready(context.Background()) })
			within(t, "Close", func() { _ = u.Close() })
			close(release)
			returns(t, "the callback", returned)
		})
	}
}

func TestCallbackThatPanicsLeavesTheProcessServing(t *testing.T) {
	for how, f := range map[string]func(*Upgrader){
		"panic":          func(*Upgrader) { panic("no configuration") },
		"runtime.Goexit": func(*Upgrader) { runtime.Goexit() },
	} {
		for _, c := range callers {
			t.Run(c.name+" "+how, func(t *testing.T) {
				u, goOn, returned := entered(t, c, f)
				goOn()
				returns(t, "the callback", returned)
				want := lifecycle.Serving.String()
				if c.name == "bind" {
					want = lifecycle.Starting.String()
				}
				if c.name == "Restore" {
					if err := u.Ready(context.Background()); err == nil || !strings.Contains(err.Error(), `restore state "s": Restore`) {
						t.Errorf("Ready = %v, want it to say that Restore panicked", err)
					}
					want = lifecycle.Stopping.String()
				}
				u.tasks.callbacks.Wait()
				within(t, "Status", func() {
					for s := u.Status().State; s != want; s = u.Status().State {
						if s != lifecycle.Beginning.String() { // Next has not been answered yet
							t.Errorf("the state is %s, want %s", s, want)
							return
						}
					}
				})
				within(t, "Close", func() { _ = u.Close() })
			})
		}
	}
}

func TestStopDoesNotWaitForAListenThatLooksUpAName(t *testing.T) {
	u := made(t, Options{})
	bound, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // ends with release
		defer close(done)
		_, err := u.ListenFunc("slow", func() (net.Listener, error) {
			close(bound)
			<-release
			return nil, errors.New("no such host")
		})
		if err == nil || !strings.Contains(err.Error(), `socket "slow": no such host`) {
			t.Errorf("ListenFunc = %v, want the error of bind", err)
		}
	}()
	returns(t, "bind", bound)
	within(t, "Stop", u.Stop)
	within(t, "Status", func() { u.Status() })
	within(t, "Close", func() { _ = u.Close() })
	close(release)
	returns(t, "ListenFunc", done)
}

func TestNilCallbacksAreRefused(t *testing.T) {
	u := made(t, Options{})
	defer u.Close()
	_, _, flows := u.ListenFlows(context.Background(), "q", "udp", "127.0.0.1:0", nil)
	_, keep := u.Keep("k", nil)
	for what, err := range map[string]error{
		`Save "s"`:        u.Save("s", nil),
		`Restore "s"`:     u.Restore("s", nil),
		`ReceiveIdle "a"`: protocol.Of(u).ReceiveIdle("a", nil, "a/1"),
		`ListenFlows "q"`: flows,
		`keep "k"`:        keep,
	} {
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "nil") {
			t.Errorf("%s: %v, want an error that says nil", what, err)
		}
	}
	ready(t, u)
	protocol.Of(u).Offer("a", nil, "a/1", nil, nil) // tells nothing
	u.Fail(nil)
}
