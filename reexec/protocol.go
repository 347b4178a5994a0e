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

// Protocol returns u for the packages below this one that implement a protocol, such as
// rehttp. Programs do not need it.
func (u *Upgrader) Protocol() protocol.Engine { return engine{u} }

// engine has the methods of protocol.Engine, which has their documentation.
type engine struct{ u *Upgrader }

func (g engine) ReceiveIdle(name string, limit func(data []byte) time.Duration, formats ...string) error {
	if limit == nil {
		return fmt.Errorf("reexec: ReceiveIdle %q: limit is nil", name)
	}
	return g.u.receive(name, limit, formats)
}

func (g engine) CanMove(name, format string) bool {
	return g.u.conns.outbox.Takes(name, format)
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
				g.u.tasks.callbacks.Answers.AddAlways(callback.Guard(g.u.log, "done of Offer", func() { done(err) }))
			}
		},
	}
	if err := g.u.propose(m, c); err != nil {
		m.Answer(err)
		return func() bool { return false }
	}
	return m.Withdraw
}

func (g engine) DrainTime() time.Duration {
	if closed(g.u.Stopping()) {
		return g.u.opts.StopDrain
	}
	return g.u.opts.Drain
}

func (g engine) Resumed() <-chan struct{} { return g.u.endings.Load().Resumed }
