package reexec

import (
	"context"
	"fmt"
	"sync"
)

// drain counts the work that keeps a generation alive after it was replaced or
// asked to stop.
type drain struct {
	oldIdle func() // told when what cover or clear waits for is released

	mu       sync.Mutex
	held     map[int]int   // by era
	era      int           // counts up with cover
	clearing bool          // clear waits
	ending   bool          // no new work comes: Drain may return
	expired  bool          // the deadline is over
	over     bool          // Drain has returned
	changed  chan struct{} // closed and replaced at what Drain waits for
}

func newDrain(oldIdle func()) *drain {
	return &drain{oldIdle: oldIdle, held: map[int]int{}, changed: make(chan struct{})}
}

func (d *drain) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.holdLocked()
}

func (d *drain) holdLocked() (release func()) {
	era := d.era
	d.held[era]++
	return sync.OnceFunc(func() { d.release(era) })
}

// tryHold is hold for what Drain need not wait for: false means that it has returned.
func (d *drain) tryHold() (release func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return nil, false
	}
	return d.holdLocked(), true
}

// isOver reports whether tryHold has nothing to hold for.
func (d *drain) isOver() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (d *drain) release(era int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[era]--
	if d.held[era] > 0 {
		return
	}
	delete(d.held, era)
	d.broadcast()
	if era < d.era && d.old() == 0 || d.clearing && len(d.held) == 0 {
		d.oldIdle()
	}
}

// old counts what is held from before the last cover.
func (d *drain) old() (n int) {
	for era, held := range d.held {
		if era < d.era {
			n += held
		}
	}
	return n
}

// count counts all that is held.
func (d *drain) count() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.old() + d.held[d.era]
}

// cover begins a new era: from now on new work comes again, and oldIdle is called
// when none from before is left.
func (d *drain) cover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.era++
	if d.old() == 0 {
		d.oldIdle()
	}
}

// clear calls oldIdle when nothing at all is held, unless set comes before.
func (d *drain) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clearing = true
	if len(d.held) == 0 {
		d.oldIdle()
	}
}

// set says whether new work has ceased to come.
func (d *drain) set(ending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending, d.clearing = ending, false
	d.over = d.over && ending
	d.broadcast()
}

// expire ends all waiting.
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

// wait returns when no work is held and none will come.
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
	left := d.old() + d.held[d.era]
	d.over = d.over || d.ending && (left == 0 || d.expired)
	switch {
	case d.ending && left == 0:
		return true, nil, nil
	case d.ending && d.expired:
		return true, nil, fmt.Errorf("%w with %d held", ErrDrainDeadline, left)
	}
	return false, d.changed, nil
}
