package load

import (
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	keepFailures = 16  // failures of a class that are kept in full
	keepNames    = 256 // versions and generations that are told apart
)

// A tally is the figures of one class as they grow.
type tally struct {
	failure func(Failure) // nil for none
	result  func(Result)  // nil for none
	mu      sync.Mutex
	stats   Stats
}

func newTally(name string, failure func(Failure), result func(Result)) *tally {
	return &tally{failure: failure, result: result, stats: Stats{Name: name, Versions: map[string]int{}, Generations: map[string]int{}}}
}

func (t *tally) snapshot() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.First = slices.Clone(s.First)
	s.Versions = maps.Clone(s.Versions)
	s.Generations = maps.Clone(s.Generations)
	return s
}

// sent enters a request that was due and is being started. It reports false if
// maxPending others wait already.
func (t *tally) sent(due time.Time, maxPending int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Sent++
	t.stats.Pending++
	t.stats.MaxLate = max(t.stats.MaxLate, time.Since(due))
	return t.stats.Pending <= maxPending
}

func (t *tally) dialed() { t.count(&t.stats.Dials) }

// count adds one to a figure of t.stats.
func (t *tally) count(figure *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*figure++
}

// endedIdle enters the end of a connection without a request: a close, a reset, or,
// without an error, bytes that answer no request.
func (t *tally) endedIdle(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.stats.Unsolicited++
	case errors.Is(err, io.EOF):
		t.stats.ClosedIdle++
	default:
		t.stats.ResetIdle++
	}
}

func (t *tally) answered(q *request, a answer) {
	defer q.over()
	took := time.Since(q.due) - q.slowly
	if t.result != nil {
		t.result(Result{Class: t.stats.Name, Due: q.due, Took: took, Version: a.version, Generation: a.generation, PID: a.pid})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Pending--
	t.stats.Answered++
	t.stats.Latency.Add(took)
	countName(t.stats.Versions, a.version)
	countName(t.stats.Generations, a.generation)
}

func countName(names map[string]int, name string) {
	if name == "" {
		return
	}
	if _, known := names[name]; !known && len(names) >= keepNames {
		name = "others"
	}
	names[name]++
}

func (t *tally) abandoned(q *request) {
	defer q.over()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Pending--
	t.stats.Abandoned++
}

// failed enters f as the verdict on q.
func (t *tally) failed(q *request, f *Failure) {
	defer q.over()
	f.Class, f.ID, f.Due, f.Written, f.At = t.stats.Name, q.id, q.due, q.written, time.Now()
	if t.failure != nil {
		t.failure(*f)
	}
	if t.result != nil {
		t.result(Result{Class: f.Class, Due: f.Due, Took: f.At.Sub(f.Due), Failure: f})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Pending--
	t.stats.Failures[f.Kind]++
	if f.Reused && !f.spared && (f.Kind == Reset || f.Kind == NoAnswer || f.Kind == Truncated) {
		t.stats.ClosedBusy++
	}
	if len(t.stats.First) < keepFailures {
		t.stats.First = append(t.stats.First, *f)
	}
}
