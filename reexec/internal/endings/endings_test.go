package endings_test

import (
	"testing"

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
