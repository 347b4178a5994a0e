package reexec

import (
	"context"
	"fmt"
	"time"

	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file fits the time of the switch to the size of the state. Save, the transfer and
// Restore copy each byte several times, and on a busy machine a large state takes seconds.

// stateRate is the least number of bytes of state that are handed over in a second.
const stateRate = 4 << 20

// sizeTime returns the additional time for a state of size bytes, in whole seconds.
func sizeTime(size int) time.Duration { return time.Duration(size/stateRate) * time.Second }

// allow sets the deadline by which the functions of Save must return, or the successor must
// accept.
func (u *Upgrader) allow(p *loopState, size int) {
	p.allowed = timeout.Switch + sizeTime(size)
	if p.state == lifecycle.Saving || p.state == lifecycle.Quiescing {
		p.allowed += timeout.Switch // longer than saveTime, whose error names the Save
	}
	p.timer.Reset(p.allowed)
	if sizeTime(size) > 0 {
		u.tellManager(notify.ExtendTimeout(p.allowed + u.opts.Trial + timeout.Confirm))
	}
}

// saveTime returns a context that ends when the time for the functions of Save is over. allow
// starts the time again after each function, for a state of size bytes.
func (u *Upgrader) saveTime() (ctx context.Context, allow func(size int), cancel func()) {
	ctx, end := context.WithCancelCause(u.tasks.life)
	limit := timeout.Save + sizeTime(u.states.Size())
	timer := time.AfterFunc(limit, func() { end(fmt.Errorf("its time of %v is over", limit)) })
	allow = func(size int) { timer.Reset(timeout.Save + sizeTime(size)) }
	return ctx, allow, func() { timer.Stop(); end(nil) }
}
