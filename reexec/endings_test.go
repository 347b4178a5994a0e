//go:build linux

package reexec

import (
	"context"
	"testing"
)

// A program that waits for the drain, ends its work and returns does not know that the
// generation may serve again.
func TestAServiceThatReturnsInADrainIsCalledAgain(t *testing.T) {
	u := made(t, Options{})
	defer u.Close()
	calls := make(chan context.Context)
	service := ServiceFunc(func(context.Context, *Upgrader) (func(context.Context) error, error) {
		return func(ctx context.Context) error {
			draining, end := context.WithCancel(ctx)
			defer end()
			defer u.OnDrain(end)()
			calls <- draining
			<-draining.Done()
			return nil
		}, nil
	})
	served := make(chan error, 1)
	go func() { served <- u.Serve(t.Context(), service) }() // joined below
	for range 3 {
		var draining context.Context
		within(t, "the wait for a call of the service", func() { draining = <-calls })
		if u.Draining() || u.Stopping() {
			t.Error("a generation that serves must not drain")
		}
		u.endings.Drains() // as after a commit
		returns(t, "the service", draining.Done())
		u.endings.Resume() // as after the death of the successor
	}
	within(t, "the wait for a call of the service", func() { <-calls })
	u.Stop()
	within(t, "Serve", func() {
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	if !u.Draining() || !u.Stopping() {
		t.Error("a generation that was stopped must drain and stop")
	}
}
