package proof

import (
	"context"
	"errors"
	"sync"
)

// Prepared are marks that are stored while the successor starts, because the manager takes time
// for them.
type Prepared struct {
	store  func() (*Marks, error)
	stored chan result
	over   <-chan struct{}

	dropped chan struct{} // closed by Drop
	drop    sync.Once
}

type result struct {
	marks *Marks
	err   error
}

// Prepare calls store on a goroutine of run. If the marks are not taken before Drop, the end of the
// successor (over) or the end of ctx, it closes them, and the manager drops the entries.
func Prepare(ctx context.Context, over <-chan struct{}, run func(func()), store func() (*Marks, error)) *Prepared {
	p := &Prepared{store: store, stored: make(chan result), over: over, dropped: make(chan struct{})}
	run(func() {
		m, err := store()
		select {
		case p.stored <- result{m, err}:
			return
		case <-p.dropped:
		case <-over:
		case <-ctx.Done():
		}
		m.Close()
	})
	return p
}

// Drop gives the marks up when the upgrade is undone: the successor may finish its answers for a
// long time. It does nothing for nil.
func (p *Prepared) Drop() {
	if p != nil {
		p.drop.Do(func() { close(p.dropped) })
	}
}

// Take returns the marks for a commit, once. It stores them again if the manager was late or has
// dropped them since. need reports whether the fd store keeps them for the commit. Take returns
// nil if the store has no room for them, if the successor does not answer Acknowledge, if ctx
// ends, and for a nil Prepared.
func (p *Prepared) Take(ctx context.Context, acknowledges bool, need func() bool) *Marks {
	if p == nil {
		return nil
	}
	var r result
	select {
	case r = <-p.stored:
	case <-p.over:
		return nil
	case <-ctx.Done():
		return nil
	}
	switch {
	case errors.Is(r.err, ErrNoRoom):
		return nil
	case acknowledges && r.err == nil && need() && r.marks.Check() == nil:
		return r.marks
	}
	r.marks.Close()
	if !acknowledges {
		return nil
	}
	again, _ := p.store()
	if again != nil && !need() {
		again.Close()
		return nil
	}
	return again
}
