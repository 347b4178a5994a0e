package conformance_test

import (
	"encoding/gob"
	"net"
	"sync"
	"testing"

	"github.com/cutover-go/cutover/e2e/conformance/internal/order"
)

// A door is where the probes of all scenarios of a subject come in.
type door struct {
	path     string // as the manager sees it
	listener net.Listener
	group    sync.WaitGroup

	mu    sync.Mutex
	rooms map[string]chan *probe // by unit; who is not expected is turned away
}

// openDoor lets probes in until t ends.
func openDoor(t testing.TB, ln net.Listener, path string) *door {
	d := &door{path: path, listener: ln, rooms: map[string]chan *probe{}}
	d.group.Go(d.accept) // ends with the listener
	t.Cleanup(func() {
		ln.Close()
		d.group.Wait()
	})
	return d
}

func (d *door) accept() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.group.Go(func() { d.attend(c) }) // ends with the connection
	}
}

// expect returns where the probes of a unit arrive.
func (d *door) expect(unit string) chan *probe {
	d.mu.Lock()
	defer d.mu.Unlock()
	room := make(chan *probe, 64)
	d.rooms[unit] = room
	return room
}

// leave turns later probes of a unit away.
func (d *door) leave(unit string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rooms, unit)
}

// attend reads what a probe says.
func (d *door) attend(c net.Conn) {
	defer c.Close()
	in := gob.NewDecoder(c)
	p := &probe{
		conn: c, out: gob.NewEncoder(c), gone: make(chan struct{}),
		answers: make(chan order.Answer, 16), signals: make(chan string, 64),
	}
	defer close(p.gone)
	if in.Decode(&p.Hello) != nil || !d.admit(p) {
		return
	}
	for {
		var a order.Answer
		if in.Decode(&a) != nil {
			return
		}
		if a.Signal != "" {
			p.signals <- a.Signal
		} else {
			p.answers <- a
		}
	}
}

func (d *door) admit(p *probe) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	room, ok := d.rooms[p.Unit]
	if ok {
		room <- p
	}
	return ok
}
