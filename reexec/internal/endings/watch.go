package endings

import "sync"

// watches are functions that are called at each end of a generation.
type watches struct {
	mu  sync.Mutex
	all map[*watch]struct{}
}

// watch is one function.
type watch struct {
	running sync.Mutex // held while call runs
	call    func()

	of    *Endings // of the last end that was told
	stage int      // which it was, see Endings.stage
}

// Watch calls call when the generation begins to drain, and when another process waits for
// its end, also after it has served again. If both come together, call is called once. Each
// call is on a new goroutine, one at a time. If the generation drains already, the first call
// is at once. Any goroutine may call Watch. No call begins after stop.
func (c *Current) Watch(call func()) (stop func()) {
	w := &watch{call: call}
	c.watches.mu.Lock()
	defer c.watches.mu.Unlock()
	if c.watches.all == nil {
		c.watches.all = map[*watch]struct{}{}
	}
	c.watches.all[w] = struct{}{}
	c.tell(w)
	return func() {
		c.watches.mu.Lock()
		defer c.watches.mu.Unlock()
		delete(c.watches.all, w)
	}
}

// tellAll tells all watches of an end.
func (c *Current) tellAll() {
	c.watches.mu.Lock()
	defer c.watches.mu.Unlock()
	for w := range c.watches.all {
		c.tell(w)
	}
}

// tell begins a call if w was not told of this end. It runs under mu.
func (c *Current) tell(w *watch) {
	e := c.Load()
	if w.of != e {
		w.of, w.stage = e, 0
	}
	if now := e.stage(); now > w.stage {
		w.stage = now
		go c.run(w) // ends when call returns
	}
}

func (c *Current) run(w *watch) {
	w.running.Lock()
	defer w.running.Unlock()
	c.watches.mu.Lock()
	_, left := c.watches.all[w]
	c.watches.mu.Unlock()
	if left {
		w.call()
	}
}

// stage returns 0 before the drain, 1 in it, and 2 when another process waits for the end.
func (e *Endings) stage() int {
	switch {
	case Closed(e.Stopping):
		return 2
	case Closed(e.Draining):
		return 1
	}
	return 0
}
