package compare

import (
	"cmp"
	"slices"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// figures are the measurements of one run. Ordinary upgrades have the ones from Requests to
// Memory.
type figures struct {
	Requests                  int
	Refused, Cut, Late, Other int           // lost by kind
	Took                      time.Duration // from the operator's command to the first answer of the new version
	P99, P999                 time.Duration
	Steady                    time.Duration // p99.9 without upgrades
	Memory                    int64
	Flood                     int           // lost in the upgrade with many new connections
	Bad                       int           // lost by the bad version
	Reported                  bool          // the command failed for it
	Slow                      int           // lost in the slow start
	Longest                   time.Duration // that an answer took then
	Dropped                   int           // connections that did not fit into the full queue then
	Repeated                  int           // commands without effect, in all upgrades
}

// lost returns the requests that were lost, in all upgrades.
func (f figures) lost() int { return f.Refused + f.Cut + f.Late + f.Other + f.Flood + f.Bad + f.Slow }

func (c *course) figures() (f figures) {
	f = figures{Memory: c.memory, Reported: c.reported, Dropped: c.dropped, Repeated: c.repeated}
	requests := c.rec.Report().Requests
	var up, steady load.Histogram
	var took []time.Duration
	for i, sp := range c.ordinary {
		within := due(requests, sp)
		f.Requests += len(within)
		f.count(within)
		latencies(&up, within)
		took = append(took, first(within, i+2)-sp.from) // the server starts with version 1
	}
	latencies(&steady, due(requests, c.steady))
	f.Took, f.P99, f.P999, f.Steady = median(took), up.Quantile(0.99), up.Quantile(0.999), steady.Quantile(0.999)
	f.Flood = lost(due(requests, c.flooded))
	f.Bad = lost(due(requests, c.bad))
	slowly := due(requests, c.slowly)
	f.Slow = lost(slowly)
	for _, q := range slowly {
		if !q.Lost() && !slow(q) {
			f.Longest = max(f.Longest, q.Took)
		}
	}
	return f
}

// count enters lost requests by kind.
func (f *figures) count(requests []record.Request) {
	for _, q := range requests {
		switch q.Failure {
		case "":
		case record.Refused:
			f.Refused++
		case record.Reset, record.EOF, record.Truncated:
			f.Cut++
		case record.Timeout, record.DialTimeout:
			f.Late++
		default:
			f.Other++
		}
	}
}

// due returns the requests that were to start in sp.
func due(requests []record.Request, sp span) (within []record.Request) {
	for _, q := range requests {
		if q.Due >= sp.from && q.Due < sp.to {
			within = append(within, q)
		}
	}
	return within
}

func lost(requests []record.Request) (n int) {
	for _, q := range requests {
		if q.Lost() {
			n++
		}
	}
	return n
}

// latencies adds those of the answers that take no time by intention.
func latencies(h *load.Histogram, requests []record.Request) {
	for _, q := range requests {
		if !q.Lost() && !slow(q) {
			h.Add(q.Took)
		}
	}
}

func slow(q record.Request) bool { return q.Load == 2 } // of classes

// first returns when the version answered for the first time.
func first(requests []record.Request, version int) (at time.Duration) {
	for _, q := range requests {
		if !q.Lost() && q.Generation == version && (at == 0 || q.End() < at) {
			at = q.End()
		}
	}
	return at
}

func median[T cmp.Ordered](values []T) (m T) {
	if len(values) == 0 {
		return m
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
