//go:build linux

package signals_test

import (
	"context"
	"os"
	"syscall"
	"testing"

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
