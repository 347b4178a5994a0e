//go:build linux

package outbox

import (
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// BenchmarkMovesThatWait queues 10,000 connections of Move while the next process has not
// answered a batch. The loop handles nothing else meanwhile.
func BenchmarkMovesThatWait(b *testing.B) {
	all := make([]Conn, 10_000)
	for b.Loop() {
		o := New(&received.IdleSet{}, time.Minute)
		o.SetNext(nil, func(handover.Connections) error { return nil })
		o.sent = []*Conn{{}} // the batch without an answer
		for i := range all {
			all[i].Waited = true
			o.Offer(&all[i])
		}
	}
}
