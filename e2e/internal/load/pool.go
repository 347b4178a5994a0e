package load

import (
	"slices"
	"sync"
)

// A pool is the connections of one class: those that are idle wait in it, in the
// order in which they became so.
type pool struct {
	size int // how many are kept

	mu       sync.Mutex
	open     map[*conn]bool // all that are connected
	idle     []*conn        // longest idle first
	dialing  int
	draining bool // keep none any more
	aborted  bool // close all that come
}

func newPool(size int) *pool { return &pool{size: size, open: make(map[*conn]bool)} }

// take returns the connection that was idle for longest. Nil means that the
// caller has to dial and then call add or dialFailed: fewer are open than shall
// be kept, or none is idle.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 || len(p.open)+p.dialing < p.size {
		p.dialing++
		return nil
	}
	k := p.idle[0]
	p.idle = slices.Delete(p.idle, 0, 1)
	return k
}

func (p *pool) dialFailed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
}

// add enters a connection that is not idle yet.
func (p *pool) add(k *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	p.open[k] = true
	if p.aborted {
		k.hangUp()
	}
}

// put makes k idle and reports whether it is to be kept.
func (p *pool) put(k *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || len(p.open)+p.dialing > p.size {
		return false
	}
	p.idle = append(p.idle, k)
	return true
}

// remove closes k and forgets it.
func (p *pool) remove(k *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.hangUp()
	delete(p.open, k)
	p.idle = slices.DeleteFunc(p.idle, func(other *conn) bool { return other == k })
}

// drain closes the idle connections; the others are closed after their answer.
func (p *pool) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	for _, k := range p.idle {
		k.hangUp()
	}
}

// abort closes all connections, also those that are being dialled.
func (p *pool) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining, p.aborted = true, true
	for k := range p.open {
		k.hangUp()
	}
}
