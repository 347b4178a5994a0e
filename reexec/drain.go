package reexec

import (
	"context"
	"fmt"
	"sync"
)

// drain counts the work that keeps a generation alive after it was replaced or
// asked to stop.
type drain struct {
	oldIdle func() // told once what was held when cover was called is released

	mu      sync.Mutex
	held    [2]int // [0] before cover, [1] since
	era     int
	ending  bool          // no new work comes: Drain may return
	expired bool          // the deadline is over
	changed chan struct{} // closed and replaced at what Drain waits for
}

func newDrain(oldIdle func()) *drain {
	return &drain{oldIdle: oldIdle, changed: make(chan struct{})}
}

func (d *drain) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	era := d.era
	d.held[era]++
	return sync.OnceFunc(func() { d.release(era) })
}

func (d *drain) release(era int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[era]--
	if d.held[era] > 0 {
		return
	}
	d.broadcast()
	if era < d.era {
		d.oldIdle()
	}
}

// cover begins a new era: from now on new work comes again, and oldIdle is called
// when none from before is left.
func (d *drain) cover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.era = 1
	if d.held[0] == 0 {
		d.oldIdle()
	}
}

// set says whether new work has ceased to come.
func (d *drain) set(ending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = ending
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
	left := d.held[0] + d.held[1]
	switch {
	case d.ending && left == 0:
		return true, nil, nil
	case d.ending && d.expired:
		return true, nil, fmt.Errorf("%w with %d held", ErrDrainDeadline, left)
	}
	return false, d.changed, nil
}
