package reexec

import (
	"fmt"
	"net"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

func init() {
	protocol.Of = func(u any) protocol.Engine { return engine{u.(*Upgrader)} }
}

// engine is an Upgrader for the packages below this one that implement a protocol. Package
// protocol has the documentation of its methods.
type engine struct{ *Upgrader }

func (g engine) Draining() <-chan struct{} { return g.endings.Load().Draining }
func (g engine) Stopping() <-chan struct{} { return g.endings.Load().Stopping }
func (g engine) Resumed() <-chan struct{}  { return g.endings.Load().Resumed }

func (g engine) ReceiveIdle(name string, limit func(data []byte) time.Duration, formats ...string) error {
	if limit == nil {
		return fmt.Errorf("reexec: ReceiveIdle %q: limit is nil", name)
	}
	return g.receive(name, limit, formats)
}

func (g engine) CanMove(name, format string) bool {
	return g.conns.outbox.Takes(name, format)
}

func (g engine) Offer(name string, c net.Conn, format string, data []byte, done func(error)) (withdraw func() bool) {
	m := &outbox.Conn{
		Connection: handover.Connection{Name: name, Format: format, Data: data},
		Answer: func(err error) {
			if err != nil {
				err = notMoved(err)
			} else {
				accepted.Release(c) // the other process has it, although the program closes c later
			}
			if done != nil {
				g.tasks.callbacks.Answers.AddAlways(callback.Guard(g.log, "done of Offer", func() { done(err) }))
			}
		},
	}
	if err := g.propose(m, c); err != nil {
		m.Answer(err)
		return func() bool { return false }
	}
	return m.Withdraw
}

func (g engine) DrainTime() time.Duration {
	if closed(g.Stopping()) {
		return g.opts.StopDrain
	}
	return g.opts.Drain
}
