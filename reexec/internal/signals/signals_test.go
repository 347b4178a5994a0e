//go:build linux

package signals_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/signals"
)

func TestEarlySignalsAreRelayedInTheirKind(t *testing.T) {
	s := signals.Catch(true, syscall.SIGUSR1)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	reloads, stops := make(chan struct{}, 1), make(chan os.Signal, 1)
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		s.Relay(ctx, func() { reloads <- struct{}{} }, func(sig os.Signal) { stops <- sig })
	}()
	<-reloads
	if sig := <-stops; sig != syscall.SIGUSR1 {
		t.Errorf("stop by %v, want SIGUSR1", sig)
	}
	cancel()
	<-ended
}

// TestStopIsNotLostBehindManyReloads: the relay is busy meanwhile.
func TestStopIsNotLostBehindManyReloads(t *testing.T) {
	s := signals.Catch(true, 0)
	ctx, cancel := context.WithCancel(context.Background())
	busy, goOn, stops := make(chan struct{}), make(chan struct{}), make(chan os.Signal, 1)
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		first := true
		s.Relay(ctx, func() {
			if first {
				first = false
				close(busy)
				<-goOn
			}
		}, func(sig os.Signal) { stops <- sig })
	}()
	seen := make(chan os.Signal, 1) // gets each signal, too, after s: a signal that is pending twice counts once
	signal.Notify(seen, syscall.SIGHUP, syscall.SIGTERM)
	defer signal.Stop(seen)
	for n := range 20 {
		sig := syscall.SIGHUP
		if n == 19 {
			sig = syscall.SIGTERM
		}
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		<-seen
		if n == 0 {
			<-busy
		}
	}
	close(goOn)
	select {
	case <-stops:
	case <-time.After(time.Minute):
		t.Error("SIGTERM is lost")
	}
	cancel()
	<-ended
}

func TestSignalsOfTheProgramAreLeftToIt(t *testing.T) {
	s := signals.Catch(false, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Relay(ctx, nil, nil)
	s.Release()
	if s != nil {
		t.Error("Catch must return nil")
	}
}
