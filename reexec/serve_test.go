//go:build linux

package reexec_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// served is a service of this process that records its calls.
type served struct {
	name    string
	calls   *record
	address string       // of a listener, "" for none
	result  func() error // of the serving function; nil waits for the drain
}

type record struct {
	mu    sync.Mutex
	calls []string
}

func (r *record) add(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (s served) Listen(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
	s.calls.add("listen " + s.name)
	if s.address != "" {
		if _, err := u.Listen(ctx, s.name, "tcp", s.address); err != nil {
			return nil, err
		}
	}
	return func(context.Context) error {
		s.calls.add("serve " + s.name)
		if s.result != nil {
			return s.result()
		}
		return u.Drain(context.Background())
	}, nil
}

// newUpgrader returns an Upgrader of this process, which the test closes.
func newUpgrader(t *testing.T, o reexec.Options) *reexec.Upgrader {
	t.Helper()
	u, err := reexec.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

func TestReadyOfAServingGenerationIgnoresTheEndOfItsContext(t *testing.T) {
	u := newUpgrader(t, reexec.Options{})
	if err := u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for range 100 { // select would take one of two channels by chance
		if err := u.Ready(ended); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServicesListenInOrderAndServeAfterReady(t *testing.T) {
	u, calls := newUpgrader(t, reexec.Options{}), &record{}
	serving := make(chan struct{}, 2)
	report := func() error { serving <- struct{}{}; return u.Drain(context.Background()) }
	setUp := reexec.ServiceFunc(func(context.Context, *reexec.Upgrader) (func(context.Context) error, error) {
		calls.add("set up")
		return nil, nil
	})
	result := make(chan error, 1)
	go func() { // joined below
		result <- u.Serve(t.Context(), setUp, served{name: "a", calls: calls, result: report}, served{name: "b", calls: calls, result: report})
	}()
	<-serving
	<-serving
	if state := u.Status().State; state != "serving" {
		t.Errorf("the generation is %s, want serving", state)
	}
	u.Stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
	slices.Sort(calls.calls[3:])
	if want := []string{"set up", "listen a", "listen b", "serve a", "serve b"}; !slices.Equal(calls.calls, want) {
		t.Errorf("calls %q, want %q", calls.calls, want)
	}
}

func TestAFailedListenFreesTheSocketsOfEarlierServices(t *testing.T) {
	taken, err := net.Listen("tcp", anywhere)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var first string
	calls := &record{}
	err = reexec.Run(t.Context(), reexec.Options{},
		reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			ln, err := u.Listen(ctx, "a", "tcp", anywhere)
			if err == nil {
				first = ln.Addr().String()
			}
			return func(context.Context) error { calls.add("serve"); return nil }, err
		}),
		served{name: "b", calls: calls, address: taken.Addr().String()})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("Run = %v, want the bind error", err)
	}
	if want := []string{"listen b"}; !slices.Equal(calls.calls, want) {
		t.Errorf("calls %q, want %q", calls.calls, want)
	}
	again, err := net.Listen("tcp", first)
	if err != nil {
		t.Fatalf("the first listener is still open: %v", err)
	}
	again.Close()
}

func TestAServiceThatEndsLeavesTheOthers(t *testing.T) {
	u, calls := newUpgrader(t, reexec.Options{}), &record{}
	ended, goOn := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	go func() { // joined below
		result <- u.Serve(t.Context(),
			served{name: "a", calls: calls, result: func() error { close(ended); return nil }},
			served{name: "b", calls: calls, result: func() error { <-goOn; return nil }})
	}()
	<-ended
	if state := u.Status().State; state != "serving" {
		t.Errorf("the generation is %s, want serving", state)
	}
	close(goOn)
	if err := <-result; err != nil {
		t.Error(err)
	}
	if state := u.Status().State; state != "stopping" {
		t.Errorf("after the end of all services the generation is %s, want stopping", state)
	}
}

func TestANilServiceIsAnError(t *testing.T) {
	err := reexec.Run(t.Context(), reexec.Options{Logger: slog.New(slog.DiscardHandler)}, reexec.Stream("a", anywhere, net.Listener.Close), nil)
	if want := "service 2 of 2 is nil"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run = %v, want %s", err, want)
	}
}

func TestAFailedServiceStopsTheProgram(t *testing.T) {
	u, calls := newUpgrader(t, reexec.Options{}), &record{}
	full := errors.New("the disk is full")
	err := u.Serve(t.Context(), served{name: "a", calls: calls}, served{name: "b", calls: calls, result: func() error { return full }})
	if !errors.Is(err, full) {
		t.Errorf("Serve = %v, want %v", err, full)
	}
}

func TestAStopDuringTheStartEndsListenAndIsNoFailure(t *testing.T) {
	t.Run("stop", func(t *testing.T) {
		u := newUpgrader(t, reexec.Options{})
		err := u.Serve(t.Context(), reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			u.Stop()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		if err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	t.Run("end of the context", func(t *testing.T) {
		u, calls := newUpgrader(t, reexec.Options{}), &record{}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := u.Serve(ctx, served{name: "a", calls: calls}); err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
}

func TestTheEndOfTheContextStopsTheServices(t *testing.T) {
	u, calls := newUpgrader(t, reexec.Options{}), &record{}
	ctx, cancel := context.WithCancel(t.Context())
	err := u.Serve(ctx, served{name: "a", calls: calls, result: func() error { cancel(); return u.Drain(context.Background()) }})
	if err != nil {
		t.Error(err)
	}
}

func TestCutWorkIsLoggedAndIsNoFailure(t *testing.T) {
	var log bytes.Buffer
	err := reexec.Run(t.Context(), reexec.Options{Drain: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		reexec.ServiceFunc(func(_ context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			return func(context.Context) error {
				defer u.Hold()()
				u.Stop()
				return &protocol.CutError{Service: "films", Work: []string{"10.0.0.1:70"}, Err: u.Drain(context.Background())}
			}, nil
		}))
	if err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	for _, want := range []string{"level=WARN", "films", "10.0.0.1:70", "drain deadline reached"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
}

func TestServicesThatCannotServeAreRefusedBeforeReady(t *testing.T) {
	u := newUpgrader(t, reexec.Options{})
	read := func(net.PacketConn) error { return nil }
	for want, s := range map[string]reexec.Service{
		"StreamService.Serve and New are nil": reexec.Stream("a", "127.0.0.1:0", nil),
		"PacketService.Serve is nil":          reexec.Packet("a", "127.0.0.1:0", nil),
		"PacketService.Answer is negative":    &reexec.PacketService{Name: "a", Address: "127.0.0.1:0", Serve: read, Answer: -1},
		"PacketService.Flows is negative":     &reexec.PacketService{Name: "a", Address: "127.0.0.1:0", Serve: read, Flows: -1},
	} {
		if _, err := s.Listen(t.Context(), u); err == nil || !strings.Contains(err.Error(), `service "a": `+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
