//go:build linux

package notify_test

import (
	"context"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
)

// exchange returns a function that sends assignments and takes them off the
// manager's queue again.
func exchange(t testing.TB, assignments ...notify.Assignment) func() {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithCancel(t.Context()) // one that can end, as any real one
	t.Cleanup(cancel)
	text := make([]byte, 8192)
	return func() {
		if err := n.Send(ctx, assignments...); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Read(text); err != nil {
			t.Fatal(err)
		}
	}
}

var routine = []struct {
	name string
	give []notify.Assignment
}{
	{"WATCHDOG", []notify.Assignment{notify.Ping}},
	{"STATUS", []notify.Assignment{notify.Status("serving 42 connections")}},
	{"both", []notify.Assignment{notify.Ping, notify.Status("serving\n42 connections")}},
}

func TestRoutineMessagesAllocateNothing(t *testing.T) {
	for _, r := range routine {
		if got := testing.AllocsPerRun(100, exchange(t, r.give...)); got > 0 {
			t.Errorf("%s: %v allocations, want none", r.name, got)
		}
	}
}

// BenchmarkSend measures a message on its way through the kernel and off the
// manager's queue.
func BenchmarkSend(b *testing.B) {
	for _, r := range routine {
		b.Run(r.name, func(b *testing.B) {
			do := exchange(b, r.give...)
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

// BenchmarkStore measures one descriptor on its way into a store, from which it is
// closed again.
func BenchmarkStore(b *testing.B) {
	m := newManager(b)
	n := m.dial(b)
	r, _ := pipe(b)
	text, oob := make([]byte, 8192), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Store(b.Context(), "pipe", r); err != nil {
			b.Fatal(err)
		}
		_, oobn, _, _, err := m.ReadMsgUnix(text, oob)
		if err != nil {
			b.Fatal(err)
		}
		files, err := fd.ParseRights(oob[:oobn])
		if err != nil || len(files) != 1 {
			b.Fatalf("%d files, %v", len(files), err)
		}
		fd.CloseAll(files)
	}
}
