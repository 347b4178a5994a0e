package reexec

import (
	"context"
	"fmt"
	"time"

	"github.com/cutover-go/cutover/notify"
)

// This file fits the time of the switch to the size of the state. Save, the transfer and
// Restore copy each byte several times, and on a busy machine a large state takes seconds.

// stateRate is the least number of bytes of state that are handed over in a second.
const stateRate = 4 << 20

// sizeTime returns the additional time for a state of size bytes, in whole seconds.
func sizeTime(size int) time.Duration { return time.Duration(size/stateRate) * time.Second }

// size returns the number of bytes of the last known states.
func (s *states) size() (size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if info, err := f.Stat(); err == nil { // else the file is closed, and is not handed on
			size += int(info.Size())
		}
	}
	return size
}

// allow sets the deadline by which the functions of Save must return, or the successor must
// accept.
func (u *Upgrader) allow(p *present, size int) {
	p.allowed = switchTimeout + sizeTime(size)
	if p.state == saving || p.state == clearing {
		p.allowed += switchTimeout // longer than saveTime, whose error names the Save
	}
	p.timer.Reset(p.allowed)
	if sizeTime(size) > 0 {
		u.tellManager(notify.ExtendTimeout(p.allowed + u.opts.Trial + confirmTimeout))
	}
}

// saveTime returns a context that ends when the time for the functions of Save is over. allow
// starts the time again after each function, for a state of size bytes.
func (u *Upgrader) saveTime() (ctx context.Context, allow func(size int), cancel func()) {
	ctx, end := context.WithCancelCause(u.life)
	limit := saveTimeout + sizeTime(u.states.size())
	timer := time.AfterFunc(limit, func() { end(fmt.Errorf("its time of %v is over", limit)) })
	allow = func(size int) { timer.Reset(saveTimeout + sizeTime(size)) }
	return ctx, allow, func() { timer.Stop(); end(nil) }
}
