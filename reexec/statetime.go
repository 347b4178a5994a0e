package reexec

import (
	"context"
	"fmt"
	"time"

	"github.com/cutover-go/cutover/notify"
)

// This file gives the switch the time that its state needs. Save, the transfer and Restore
// copy each byte several times, and on a busy machine a large state takes seconds.

// stateRate is how many bytes of state pass in a second at least.
const stateRate = 4 << 20

// sizeTime returns the time for a state of size bytes, in whole seconds.
func sizeTime(size int) time.Duration { return time.Duration(size/stateRate) * time.Second }

// size returns how many bytes the last known states have.
func (s *states) size() (size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if info, err := f.Stat(); err == nil { // else it is closed, and not handed on
			size += int(info.Size())
		}
	}
	return size
}

// allow sets the time in which the rest of Save must return, or the successor must accept.
func (u *Upgrader) allow(p *present, size int) {
	p.allowed = switchTimeout + sizeTime(size)
	if p.state == saving || p.state == clearing {
		p.allowed += switchTimeout // the state is saved without a successor; saveTime has less
	}
	p.timer.Reset(p.allowed)
	if sizeTime(size) > 0 {
		u.tellManager(notify.ExtendTimeout(p.allowed + u.opts.Trial + confirmTimeout))
	}
}

// saveTime returns a context that ends when the functions of Save have had their time.
// Allow begins it anew after each of them, for a state of size bytes.
func (u *Upgrader) saveTime() (ctx context.Context, allow func(size int), cancel func()) {
	ctx, end := context.WithCancelCause(u.life)
	limit := saveTimeout + sizeTime(u.states.size())
	timer := time.AfterFunc(limit, func() { end(fmt.Errorf("its time of %v is over", limit)) })
	allow = func(size int) { timer.Reset(saveTimeout + sizeTime(size)) }
	return ctx, allow, func() { timer.Stop(); end(nil) }
}
