package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A collector has the data of the report.
type collector struct {
	began time.Time

	mu      sync.Mutex
	report  record.Report
	answers int           // answered requests
	wanted  int           // the number of them at which reached is closed
	reached chan struct{} // nil if no story waits
}

func newCollector(d *Daemon, title string, s stage) *collector {
	r := &collector{began: time.Now()}
	r.report = record.Report{Title: title, Began: r.began, Environment: recorder.Environment(s.name())}
	for _, p := range d.probes() {
		for _, s := range p.streams() {
			r.report.Loads = append(r.report.Loads, record.Load{Name: s.name, Protocol: s.protocol, Address: s.address, Rate: s.rate, Conns: s.conns})
		}
	}
	return r
}

func (r *collector) now() time.Duration { return time.Since(r.began) }

func (r *collector) request(q record.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Requests = append(r.report.Requests, q)
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

// settled records a request of package load. The name of its class is the index of the load.
func (r *collector) settled(res load.Result) {
	index, _ := strconv.Atoi(res.Class) // see start
	r.request(recorder.Request(res, index, r.began))
}

func (r *collector) event(e record.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Events = append(r.report.Events, e)
}

func (r *collector) sample(s record.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Samples = append(r.report.Samples, s)
}

func (r *collector) story(s record.Story) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Stories = append(r.report.Stories, s)
}

// since returns the requests that were due at or after the time at.
func (r *collector) since(at time.Duration) (all []record.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.report.Requests {
		if q.Due >= at {
			all = append(all, q)
		}
	}
	return all
}

// finish returns the report.
func (r *collector) finish() *record.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Elapsed = time.Since(r.began)
	// A story enters its upgrades when they have ended.
	slices.SortStableFunc(r.report.Events, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) })
	return &r.report
}

// loadName names a load for messages.
func (r *collector) loadName(i int) string {
	if i < len(r.report.Loads) {
		return r.report.Loads[i].Name
	}
	return fmt.Sprint("load ", i)
}
