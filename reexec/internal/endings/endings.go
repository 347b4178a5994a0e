// Package endings tells the servers of a generation when it ends, and when it serves again.
package endings

import "sync/atomic"

// Endings are the channels of Draining, Stopping and Resumed.
type Endings struct {
	Draining, Stopping, Resumed chan struct{}
}

// WhenDraining returns Resumed if Draining is closed, and nil otherwise.
func (e *Endings) WhenDraining() <-chan struct{} {
	if !Closed(e.Draining) {
		return nil
	}
	return e.Resumed
}

func newEndings() *Endings {
	return &Endings{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

// Current has the endings of a generation. They are replaced when the generation serves
// again: an upgrade in place was undone, or the successor has died and no manager restarts
// the unit. Only one goroutine, the loop, may call Drains, Stops and Resume.
type Current struct {
	now     atomic.Pointer[Endings]
	watches watches
}

// New returns open channels.
func New() *Current {
	c := &Current{}
	c.now.Store(newEndings())
	return c
}

// Load returns the channels. Any goroutine may call it.
func (c *Current) Load() *Endings { return c.now.Load() }

// Drains closes Draining, which tells the program that the generation ends.
func (c *Current) Drains() {
	closeOnce(c.Load().Draining)
	go c.tellAll() // ends at once
}

// Stops closes Draining and Stopping: another process waits for the end of this one.
func (c *Current) Stops() {
	e := c.Load()
	closeOnce(e.Draining)
	closeOnce(e.Stopping)
	go c.tellAll() // as in Drains
}

// Resume replaces the channels and closes Resumed, if Draining was closed.
func (c *Current) Resume() {
	if e := c.Load(); Closed(e.Draining) {
		c.now.Store(newEndings())
		close(e.Resumed)
	}
}

func closeOnce(c chan struct{}) {
	if !Closed(c) {
		close(c)
	}
}

// Closed reports whether c is closed.
func Closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
