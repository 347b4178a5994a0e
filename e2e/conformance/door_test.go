package conformance_test

import (
	"net"
	"sync"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/probe"
	"github.com/cutover-go/cutover/internal/testproc"
)

// A door is where the probes of all scenarios of a subject come in.
type door struct {
	path string // as the manager sees it

	mu    sync.Mutex
	rooms map[string]chan *testproc.Process // by unit; others are turned away
}

// openDoor lets probes in until t ends.
func openDoor(t testing.TB, ln net.Listener, path string) *door {
	d := &door{path: path, rooms: map[string]chan *testproc.Process{}}
	done := make(chan struct{})
	go func() { // ends with the listener and the probes
		defer close(done)
		testproc.Accept(ln, d.admit)
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return d
}

// expect returns where the probes of a unit arrive.
func (d *door) expect(unit string) chan *testproc.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	room := make(chan *testproc.Process, 64)
	d.rooms[unit] = room
	return room
}

// leave turns later probes of a unit away.
func (d *door) leave(unit string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rooms, unit)
}

func (d *door) admit(p *testproc.Process) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	room, ok := d.rooms[p.Env[probe.Unit]]
	if ok {
		room <- p
	}
	return ok
}
