// Package recorder fills in a [record.Report] from the load on a server.
package recorder

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A Recorder is a report that grows. Its methods are safe for concurrent use.
type Recorder struct {
	began time.Time
	loads map[string]int // indexes by name

	mu        sync.Mutex
	report    record.Report
	processes map[int]time.Duration // that have answered, with their end, 0 if they have none yet
	lost      int
}

// New returns a Recorder of a run that begins now. manager names the supervisor of the
// service.
func New(title, manager string, classes []load.Class) *Recorder {
	var loads []record.Load
	for _, c := range classes {
		loads = append(loads, record.Load{Name: c.Name, Protocol: protocols[c.Protocol], Address: c.Addr, Rate: c.Rate, Conns: c.Conns})
	}
	return Of(title, manager, loads)
}

// Of is New for loads that package load may not know.
func Of(title, manager string, loads []record.Load) *Recorder {
	now := time.Now()
	r := &Recorder{began: now, loads: map[string]int{}, processes: map[int]time.Duration{}}
	r.report = record.Report{Title: title, Began: now, Environment: environment(manager), Loads: loads}
	for i, l := range loads {
		r.loads[l.Name] = i
	}
	return r
}

var protocols = map[load.Protocol]string{load.HTTP1: "HTTP/1.1", load.HTTP2: "HTTP/2", load.WebSocket: "WebSocket"}

// environment describes this machine and this program.
func environment(manager string) record.Environment {
	return record.Environment{Manager: manager, Kernel: kernel(), Go: runtime.Version(), Processors: runtime.NumCPU()}
}

// Now returns the time since the begin of the report.
func (r *Recorder) Now() time.Duration { return r.At(time.Now()) }

// At returns the time from the begin of the report to t.
func (r *Recorder) At(t time.Time) time.Duration { return t.Sub(r.began) }

// Request returns res as a request of the load with this index.
func (r *Recorder) Request(res load.Result, index int) record.Request {
	q := record.Request{Load: index, Due: r.At(res.Due), Took: res.Took, PID: res.PID}
	q.Generation, _ = strconv.Atoi(res.Generation) // 0 for a server that does not name it
	if f := res.Failure; f != nil {
		q.Failure, q.Kept = Failure(f.Kind), f.Reused
		if f.Err != nil {
			q.Error = f.Err.Error()
		}
	}
	return q
}

// Settled enters a request. It is for [load.Config.Settled].
func (r *Recorder) Settled(res load.Result) { r.Enter(r.Request(res, r.loads[res.Class])) }

// Enter enters a request.
func (r *Recorder) Enter(q record.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Requests = append(r.report.Requests, q)
	r.enter(q.PID)
	if q.Lost() {
		r.lost++
	}
}

// Process has a process watched that has not answered, or whose answers do not name it.
func (r *Recorder) Process(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enter(pid)
}

// enter enters a process that is new. The caller holds mu.
func (r *Recorder) enter(pid int) {
	if _, known := r.processes[pid]; pid > 0 && !known {
		r.processes[pid] = 0
	}
}

// Count returns how many requests have ended, and how many of them were lost.
func (r *Recorder) Count() (ended, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.report.Requests), r.lost
}

// Since returns the requests that were due at or after the time at.
func (r *Recorder) Since(at time.Duration) (all []record.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.report.Requests {
		if q.Due >= at {
			all = append(all, q)
		}
	}
	return all
}

// Story enters the verdict of a story.
func (r *Recorder) Story(s record.Story) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Stories = append(r.report.Stories, s)
}

// Event enters an event.
func (r *Recorder) Event(e record.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Events = append(r.report.Events, e)
}

// Sample enters the size of a process.
func (r *Recorder) Sample(s record.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Samples = append(r.report.Samples, s)
}

// Report returns the report so far, with the events in the order in which they began. The
// caller must not change it.
func (r *Recorder) Report() *record.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.Elapsed = r.Now()
	report.Events = slices.Clone(report.Events)
	slices.SortStableFunc(report.Events, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) })
	for i, e := range report.Events {
		if ended := r.processes[e.Before]; e.Drained == 0 && e.Before != e.After && ended > e.At {
			report.Events[i].Drained = ended
		}
	}
	return &report
}

// failures are those of the load, by their name in a report.
var failures = map[load.Kind]record.Failure{
	load.Refused: record.Refused, load.DialTimeout: record.DialTimeout, load.DialFailed: record.DialFailed,
	load.Handshake: record.Handshake, load.Reset: record.Reset, load.NoAnswer: record.EOF, load.Truncated: record.Truncated,
	load.Timeout: record.Timeout, load.BadStatus: record.BadAnswer, load.Malformed: record.BadAnswer,
	load.Unserved: record.Unserved, load.Saturated: record.NotSent,
}

// Failure returns the name of k in a report.
func Failure(k load.Kind) record.Failure {
	if f, ok := failures[k]; ok {
		return f
	}
	return record.Failure(k.String())
}
