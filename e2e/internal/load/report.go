package load

import (
	"maps"
	"slices"
	"time"
)

// A Report is the figures of a run, or of an interval of it.
type Report struct {
	Began   time.Time
	Elapsed time.Duration
	Classes []Stats // in the order of Config.Classes
}

// Stats is the figures of one class. Each request that was sent is one of
// answered, failed, abandoned and pending.
type Stats struct {
	Name      string
	Sent      int        // requests that were due and were started
	Answered  int        // complete answers with the wanted status
	Failures  [kinds]int // the others, by Kind
	Abandoned int        // requests that the end of the run's context cut off
	Pending   int        // requests that wait for an answer now

	First []Failure // the first failures in full, at most 16

	// Latency is of the answered requests, from their intended start, without what
	// Class.Slowly says. The failed ones have none, so quantiles say little while
	// there are failures.
	Latency Histogram
	// MaxLate is the longest delay with which the client itself started a request.
	// Latency may contain that much delay of the client.
	MaxLate time.Duration

	Dials       int // connections that were opened or tried
	ClosedIdle  int // kept connections closed by the server with no request on them
	ResetIdle   int // the same by a reset
	ClosedBusy  int // kept connections closed or reset under a request, each a failure
	ClosedLast  int // kept connections of which an answer, or a GOAWAY, said that it is the last
	Unsolicited int // kept connections on which bytes came that no request had asked for
	Resumed     int // TLS connections that went on with an earlier one's session
	Declined    int // times that HTTP/2 gave a request back unread, to be sent elsewhere

	Versions    map[string]int // answers by their version=
	Generations map[string]int // answers by their generation=
}

// Failed returns the number of failures of all kinds.
func (s Stats) Failed() int {
	sum := 0
	for _, n := range s.Failures {
		sum += n
	}
	return sum
}

// Closed returns the number of kept connections that the server has ended, for
// whatever reason.
func (s Stats) Closed() int { return s.ClosedIdle + s.ResetIdle + s.ClosedBusy + s.ClosedLast }

// Total returns the sum of all classes. Its Latency mixes their latencies.
func (r Report) Total() Stats {
	total := newTally("total", nil, nil).stats
	for i := range r.Classes {
		total.add(&r.Classes[i])
	}
	slices.SortStableFunc(total.First, func(a, b Failure) int { return a.At.Compare(b.At) })
	return total
}

func (s *Stats) add(c *Stats) {
	s.eachCount(c, func(into *int, n int) { *into += n })
	s.Pending += c.Pending
	s.First = append(s.First, c.First...)
	s.Latency.Merge(&c.Latency)
	s.MaxLate = max(s.MaxLate, c.MaxLate)
}

// Since returns the figures of the interval between before, an earlier report of
// the same run, and r. A request counts in the interval in which it was sent,
// its verdict in that in which it came. Pending and MaxLate remain those of r.
func (r Report) Since(before Report) Report {
	between := Report{Began: before.Began.Add(before.Elapsed), Elapsed: r.Elapsed - before.Elapsed}
	for i, s := range r.Classes {
		b := &before.Classes[i]
		s.Versions, s.Generations = maps.Clone(s.Versions), maps.Clone(s.Generations)
		s.eachCount(b, func(into *int, n int) { *into -= n })
		s.First = s.First[len(b.First):]
		s.Latency = s.Latency.Since(&b.Latency)
		between.Classes = append(between.Classes, s)
	}
	return between
}

// eachCount calls change for each figure of s that only grows, with that of other.
func (s *Stats) eachCount(other *Stats, change func(into *int, n int)) {
	change(&s.Sent, other.Sent)
	change(&s.Answered, other.Answered)
	change(&s.Abandoned, other.Abandoned)
	change(&s.Dials, other.Dials)
	change(&s.ClosedIdle, other.ClosedIdle)
	change(&s.ResetIdle, other.ResetIdle)
	change(&s.ClosedBusy, other.ClosedBusy)
	change(&s.ClosedLast, other.ClosedLast)
	change(&s.Unsolicited, other.Unsolicited)
	change(&s.Resumed, other.Resumed)
	change(&s.Declined, other.Declined)
	for i, n := range other.Failures {
		change(&s.Failures[i], n)
	}
	eachName(s.Versions, other.Versions, change)
	eachName(s.Generations, other.Generations, change)
}

func eachName(into, other map[string]int, change func(into *int, n int)) {
	for name, n := range other {
		sum := into[name]
		change(&sum, n)
		into[name] = sum
		if sum == 0 {
			delete(into, name)
		}
	}
}
