package endings_test

import (
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/endings"
)

func TestStopsClosesDrainingToo(t *testing.T) {
	c := endings.New()
	c.Drains()
	c.Drains()
	if e := c.Load(); !endings.Closed(e.Draining) || endings.Closed(e.Stopping) || endings.Closed(e.Resumed) {
		t.Error("Drains must close Draining alone")
	}
	c.Stops()
	c.Stops()
	if e := c.Load(); !endings.Closed(e.Draining) || !endings.Closed(e.Stopping) || endings.Closed(e.Resumed) {
		t.Error("Stops must close Draining and Stopping")
	}
}

func TestResumeReplacesClosedChannels(t *testing.T) {
	c := endings.New()
	first := c.Load()
	if c.Resume(); c.Load() != first || endings.Closed(first.Resumed) {
		t.Error("Resume of a generation that serves must do nothing")
	}
	c.Stops()
	c.Resume()
	if !endings.Closed(first.Resumed) {
		t.Error("Resume must close Resumed of the earlier channels")
	}
	if e := c.Load(); endings.Closed(e.Draining) || endings.Closed(e.Stopping) || endings.Closed(e.Resumed) {
		t.Error("the channels after Resume must be open")
	}
}

// told is a function for Watch that counts its calls.
type told struct {
	testing.TB
	calls chan struct{}
}

func newTold(t *testing.T) *told { return &told{t, make(chan struct{}, 10)} }

func (w *told) call() { w.calls <- struct{}{} }

// once checks that one call comes, and no other call before it.
func (w *told) once(when string) {
	w.Helper()
	select {
	case <-w.calls:
	case <-time.After(time.Minute):
		w.Fatalf("no call %s", when)
	}
}

func TestWatchIsCalledAtEachEnd(t *testing.T) {
	c, w := endings.New(), newTold(t)
	stop := c.Watch(w.call)
	for range 3 {
		c.Drains()
		w.once("when the drain begins")
		c.Drains()
		c.Stops()
		w.once("when a stop hastens the drain")
		c.Stops()
		c.Resume()
	}
	late := newTold(t)
	c.Stops()
	w.once("when the drain begins by a stop")
	defer c.Watch(late.call)()
	late.once("by a Watch in the drain")
	c.Resume()
	stop()
	c.Drains()
	late.once("in the next drain")
	if len(w.calls)+len(late.calls) > 0 {
		t.Errorf("%d and %d more calls, want none", len(w.calls), len(late.calls))
	}
}

func TestCallsOfOneWatchDoNotOverlap(t *testing.T) {
	c, release := endings.New(), make(chan struct{})
	var running sync.Mutex
	w := newTold(t)
	defer c.Watch(func() {
		if !running.TryLock() {
			t.Error("two calls at once")
			return
		}
		defer running.Unlock()
		w.call()
		<-release
	})()
	c.Drains()
	w.once("when the drain begins")
	c.Stops()
	close(release)
	w.once("after the first call")
}

func TestAWatchThatBlocksDelaysNoOther(t *testing.T) {
	c, w, release := endings.New(), newTold(t), make(chan struct{})
	defer close(release)
	defer c.Watch(func() { <-release })()
	defer c.Watch(w.call)()
	c.Drains()
	w.once("when the drain begins")
	c.Stops()
	w.once("when a stop hastens the drain")
}
