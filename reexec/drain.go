package reexec

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// drain counts the connections, datagrams and holds that keep a generation alive after it was
// replaced or asked to stop.
type drain struct {
	oldIdle func() // called when the holds that cover or clear waits for are released

	// current has the era in its upper half, which cover increments, and the number of holds
	// of this era in its lower half. hold and release are one atomic operation each, because
	// every connection and datagram calls them.
	current atomic.Uint64
	watched atomic.Bool  // the last release of the era calls released
	asked   atomic.Int64 // holds by Upgrader.Hold

	mu       sync.Mutex
	old      int           // holds of earlier eras
	clearing bool          // clear waits until nothing is held
	ending   bool          // this generation gets no new work, so Drain may return
	expired  bool          // the drain deadline is over
	over     bool          // Drain has returned
	changed  chan struct{} // closed and replaced when Drain has to check again
}

// A held keeps Drain from returning until release is called, once. The zero value
// holds nothing.
type held struct {
	d   *drain
	era uint32
}

func newDrain(oldIdle func()) *drain {
	return &drain{oldIdle: oldIdle, changed: make(chan struct{})}
}

func (d *drain) hold() held { return held{d, uint32(d.current.Add(1) >> 32)} }

// ask is hold for Upgrader.Hold.
func (d *drain) ask() (release func()) {
	d.asked.Add(1)
	h := d.hold()
	return sync.OnceFunc(func() {
		d.asked.Add(-1)
		h.release()
	})
}

// tryHold is hold for a connection that another process may keep. It returns false if Drain
// has returned.
func (d *drain) tryHold() (h held, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return held{}, false
	}
	return d.hold(), true
}

// isOver reports whether Drain has returned, so that tryHold refuses.
func (d *drain) isOver() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (h held) release() {
	if h.d == nil {
		return
	}
	for d := h.d; ; {
		v := d.current.Load()
		if uint32(v>>32) != h.era {
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

// releaseOld releases a hold of an earlier era.
func (d *drain) releaseOld() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.old--
	if d.old > 0 {
		return
	}
	d.broadcast()
	d.oldIdle()
}

// released is called after the release of the last hold of this era.
func (d *drain) released() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broadcast()
	if d.clearing && d.heldLocked() == 0 {
		d.oldIdle()
	}
}

// heldLocked counts all holds.
func (d *drain) heldLocked() int { return d.old + int(uint32(d.current.Load())) }

// isIdle reports whether nothing is held.
func (d *drain) isIdle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heldLocked() == 0
}

// count returns the number of holds for reports. A connection for which the program also calls
// Hold counts once: count returns the larger number of the two kinds.
func (d *drain) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.countLocked()
}

func (d *drain) countLocked() int {
	asked := int(d.asked.Load())
	return max(asked, d.heldLocked()-asked)
}

// cover begins a new era, because this generation accepts again. It calls oldIdle when the
// holds of earlier eras are released.
func (d *drain) cover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	era := uint32(d.current.Load()>>32) + 1 // only cover changes it
	d.old += int(uint32(d.current.Swap(uint64(era) << 32)))
	if d.old == 0 {
		d.oldIdle()
	}
}

// clear calls oldIdle when nothing is held, unless set is called first.
func (d *drain) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clearing = true
	d.watched.Store(true)
	if d.heldLocked() == 0 {
		d.oldIdle()
	}
}

// set sets whether this generation gets no new work, and ends clear.
func (d *drain) set(ending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending, d.clearing = ending, false
	d.watched.Store(ending)
	d.over = d.over && ending
	d.broadcast()
}

// expire makes Drain return although work is held.
func (d *drain) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expired = true
	d.broadcast()
}

func (d *drain) broadcast() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// wait is Drain: it returns when nothing is held and no new work arrives.
func (d *drain) wait(ctx context.Context) error {
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

func (d *drain) check() (done bool, changed <-chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.heldLocked()
	d.over = d.over || d.ending && (left == 0 || d.expired)
	switch {
	case d.ending && left == 0:
		return true, nil, nil
	case d.ending && d.expired:
		return true, nil, fmt.Errorf("%w with %d held", ErrDrainDeadline, d.countLocked())
	}
	return false, d.changed, nil
}
