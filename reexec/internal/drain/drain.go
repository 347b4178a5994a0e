// Package drain counts the work of a generation that was replaced or asked to stop, so that
// Upgrader.Drain knows when it may return.
package drain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// ErrDeadline: work was still held when the time for the drain was over.
var ErrDeadline = errors.New("reexec: drain deadline reached")

// A Counter counts the connections, datagrams and holds that keep a generation alive after it
// was replaced or asked to stop.
type Counter struct {
	idle func() // called when the holds that NewEpoch or NotifyIdle waits for are released

	// current has the epoch in its upper half, which NewEpoch increments, and the number of holds
	// of this epoch in its lower half. Hold and Release are one atomic operation each, because
	// every connection and datagram calls them.
	current atomic.Uint64
	watched atomic.Bool  // the last release of the epoch calls released
	asked   atomic.Int64 // holds by Ask

	mu       sync.Mutex
	old      int           // holds of earlier epochs
	watching bool          // NotifyIdle waits until nothing is held
	ending   bool          // this generation gets no new work, so Drain may return
	expired  bool          // the drain deadline is over
	over     bool          // Drain has returned
	changed  chan struct{} // closed and replaced when Drain has to check again
}

// A Hold keeps Drain from returning until Release is called, once. The zero value
// holds nothing.
type Hold struct {
	d     *Counter
	epoch uint32
}

// NewCounter returns a Counter. It calls idle under its lock, so idle must not block.
func NewCounter(idle func()) *Counter {
	return &Counter{idle: idle, changed: make(chan struct{})}
}

// Hold holds the generation until the result is released.
func (d *Counter) Hold() Hold { return Hold{d, uint32(d.current.Add(1) >> 32)} }

// Ask is Hold for the program, which may call release more than once.
func (d *Counter) Ask() (release func()) {
	d.asked.Add(1)
	h := d.Hold()
	return sync.OnceFunc(func() {
		d.asked.Add(-1)
		h.Release()
	})
}

// TryHold is Hold for a connection that another process may keep. It returns false if Drain
// has returned.
func (d *Counter) TryHold() (h Hold, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return Hold{}, false
	}
	return d.Hold(), true
}

// Over reports whether Drain has returned, so that TryHold refuses.
func (d *Counter) Over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// Release ends the hold.
func (h Hold) Release() {
	if h.d != nil {
		h.d.Release(h.epoch)
	}
}

// Epoch returns the epoch in which the hold began, for Counter.Release.
func (h Hold) Epoch() uint32 { return h.epoch }

// Release releases a hold that began in epoch.
func (d *Counter) Release(epoch uint32) {
	for {
		v := d.current.Load()
		if uint32(v>>32) != epoch {
			d.releaseOld()
			return
		}
		if !d.current.CompareAndSwap(v, v-1) {
			continue
		}
		if uint32(v-1) == 0 && d.watched.Load() {
			d.released()
		}
		return
	}
}

// releaseOld releases a hold of an earlier epoch.
func (d *Counter) releaseOld() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.old--
	if d.old > 0 {
		return
	}
	d.broadcast()
	d.idle()
}

// released is called after the release of the last hold of this epoch.
func (d *Counter) released() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broadcast()
	if d.watching && d.heldLocked() == 0 {
		d.idle()
	}
}

// heldLocked counts all holds.
func (d *Counter) heldLocked() int { return d.old + int(uint32(d.current.Load())) }

// Idle reports whether nothing is held.
func (d *Counter) Idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heldLocked() == 0
}

// Count returns the number of holds for reports. A connection for which the program also calls
// Hold counts once: count returns the larger number of the two kinds.
func (d *Counter) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.countLocked()
}

func (d *Counter) countLocked() int {
	asked := int(d.asked.Load())
	return max(asked, d.heldLocked()-asked)
}

// NewEpoch begins a new epoch, because this generation accepts again. It calls idle when the
// holds of earlier epochs are released.
func (d *Counter) NewEpoch() {
	d.mu.Lock()
	defer d.mu.Unlock()
	epoch := uint32(d.current.Load()>>32) + 1 // only NewEpoch changes it
	d.old += int(uint32(d.current.Swap(uint64(epoch) << 32)))
	if d.old == 0 {
		d.idle()
	}
}

// NotifyIdle calls idle when nothing is held, unless SetEnding is called first.
func (d *Counter) NotifyIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watching = true
	d.watched.Store(true)
	if d.heldLocked() == 0 {
		d.idle()
	}
}

// SetEnding sets whether this generation gets no new work, and ends NotifyIdle.
func (d *Counter) SetEnding(ending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending, d.watching = ending, false
	d.watched.Store(ending)
	d.over = d.over && ending
	d.broadcast()
}

// Expire makes Drain return although work is held.
func (d *Counter) Expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expired = true
	d.broadcast()
}

func (d *Counter) broadcast() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// Wait returns when nothing is held and no new work arrives.
func (d *Counter) Wait(ctx context.Context) error {
	for {
		done, changed, err := d.check()
		if done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *Counter) check() (done bool, changed <-chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.heldLocked()
	d.over = d.over || d.ending && (left == 0 || d.expired)
	switch {
	case d.ending && left == 0:
		return true, nil, nil
	case d.ending && d.expired:
		return true, nil, fmt.Errorf("%w with %d held", ErrDeadline, d.countLocked())
	}
	return false, d.changed, nil
}
