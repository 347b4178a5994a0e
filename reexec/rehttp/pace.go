package rehttp

import "sync"

// paceLimit is how many idle connections are on their way to the successor at a time:
// few enough that a request which comes meanwhile notices little. With 1,000 of them
// on two cores, in runs of eight upgrades each, the 99.9th percentile of short
// requests was 46, 96 and 111 ms with 8, 98 with 32, and 147 and 160 with 64.
const paceLimit = 8

// A pace lets idle connections move, each as soon as one before it has. Those in use
// do not wait: they move at the end of a request, by themselves.
type pace struct {
	mu      sync.Mutex
	waiting []*conn
	moving  int
}

// turn is how a connection stands with the pace.
type turn uint8

const (
	noTurn turn = iota
	waits
	hasTurn
)

// begin makes all of them move.
func (p *pace) begin(all []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range all {
		if c.turn == noTurn {
			c.turn = waits
			p.waiting = append(p.waiting, c)
		}
	}
	p.next()
}

// next gives turns to those that have waited longest. It is called with p.mu held.
func (p *pace) next() {
	for p.moving < paceLimit && len(p.waiting) > 0 {
		c := p.waiting[0]
		p.waiting = p.waiting[1:]
		switch {
		case c.turn != waits: // it has moved, or was used
		case c.idle.Load() && c.canMove() && c.wake():
			c.turn = hasTurn
			p.moving++
		default:
			c.turn = noTurn
		}
	}
}

// end says that c has moved, or is in use, or stays.
func (p *pace) end(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.turn == hasTurn {
		p.moving--
	}
	c.turn = noTurn
	p.next()
}

// holds reports whether c waits to move, or is about to.
func (p *pace) holds(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.turn != noTurn
}
