package proof

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A collector is a recorder for which stories can wait.
type collector struct {
	*recorder.Recorder
	loads []record.Load

	mu      sync.Mutex
	answers int           // answered requests
	wanted  int           // the number of them at which reached is closed
	reached chan struct{} // nil if no story waits
}

func newCollector(d *Daemon, title, manager string) *collector {
	r := &collector{}
	for _, p := range d.probes() {
		for _, s := range p.streams() {
			r.loads = append(r.loads, record.Load{Name: s.name, Protocol: s.protocol, Address: s.address, Rate: s.rate, Conns: s.conns})
		}
	}
	r.Recorder = recorder.Of(title, manager, r.loads)
	return r
}

// Enter enters a request and counts it if it was answered.
func (r *collector) Enter(q record.Request) {
	r.Recorder.Enter(q)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !q.Lost() {
		r.answers++
	}
	if r.reached != nil && r.answers >= r.wanted {
		close(r.reached)
		r.reached = nil
	}
}

// more returns a channel that is closed when n more requests are answered. One story waits
// at a time.
func (r *collector) more(n int) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	reached := make(chan struct{})
	r.wanted, r.reached = r.answers+n, reached
	return reached
}

// Settled enters a request of package load. The name of its class is the index of the load.
func (r *collector) Settled(res load.Result) {
	index, _ := strconv.Atoi(res.Class) // see start
	r.Enter(r.Request(res, index))
}

// loadName names a load for messages.
func (r *collector) loadName(i int) string {
	if i < len(r.loads) {
		return r.loads[i].Name
	}
	return fmt.Sprint("load ", i)
}
