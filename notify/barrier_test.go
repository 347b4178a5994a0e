//go:build linux

package notify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/notify"
)

func TestBarrierReturnsWhenTheManagerGotThere(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	if err := n.Send(t.Context(), notify.Ready); err != nil {
		t.Fatal(err)
	}
	passed := make(chan error, 1)
	go func() { passed <- n.Barrier(t.Context()) }() // ends when the manager closes the descriptor
	m.next(t).want(t, "READY=1", 0)
	barrier := m.next(t)
	barrier.want(t, "BARRIER=1", 1)
	select {
	case err := <-passed:
		t.Errorf("Barrier returned before the manager let it: %v", err)
	default:
	}
	barrier.files[0].Close()
	if err := <-passed; err != nil {
		t.Errorf("Barrier: %v", err)
	}
}

func TestOthersSendWhileABarrierWaits(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	passed := make(chan error, 1)
	go func() { passed <- n.Barrier(t.Context()) }() // ends when the manager closes the descriptor
	barrier := m.next(t)
	if err := n.Send(t.Context(), notify.Ping); err != nil {
		t.Error(err)
	}
	m.next(t).want(t, "WATCHDOG=1", 0)
	barrier.files[0].Close()
	if err := <-passed; err != nil {
		t.Errorf("Barrier: %v", err)
	}
}

func TestBarrierDeadlineIsAnError(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // the message is sent by then
	defer cancel()
	if err := n.Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "notify: barrier: ") {
		t.Errorf("Barrier: %v, want %v", err, context.DeadlineExceeded)
	}
	m.next(t).want(t, "BARRIER=1", 1)
}

func TestBarrierEndsWithItsContext(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	passed := make(chan error, 1)
	go func() { passed <- n.Barrier(ctx) }() // ends with ctx
	m.next(t).want(t, "BARRIER=1", 1)
	cause := errors.New("superseded")
	cancel(cause)
	if err := <-passed; !errors.Is(err, cause) {
		t.Errorf("Barrier: %v, want %v", err, cause)
	}
}

// A manager that drops the message, or dies, closes the descriptor as well: a
// barrier says that nothing is left to be processed.
func TestBarrierPassesWhenTheManagerGoesAway(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	passed := make(chan error, 1)
	sent := make(chan struct{})
	notify.WrapSend(n, func(send notify.SendFunc) notify.SendFunc {
		return func(raw uintptr, text, rights []byte) error {
			defer close(sent)
			return send(raw, text, rights)
		}
	})
	go func() { passed <- n.Barrier(t.Context()) }() // ends when the manager's queue is dropped
	<-sent
	m.Close()
	if err := <-passed; err != nil {
		t.Errorf("Barrier: %v", err)
	}
}
