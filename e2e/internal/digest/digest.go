// Package digest draws the sums and percentiles from a [record.Report].
package digest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// least is the shortest time that counts as one with an upgrade: a faster upgrade has too
// few requests for a percentile.
const least = time.Second

// slow is the shortest latency of a load that takes its time by intention.
const slow = 500 * time.Millisecond

// A Digest is the result of a run in a few figures.
type Digest struct {
	Requests, Lost int
	Killed         int // of the lost ones, those that were lost after a kill, or that a story has excused
	Upgrades       int // reloads and restarts that replaced the process
	Undone         int // ones whose command failed
	Kills          int
	Stories        int // stories that were told
	Failed         int // of these, the failed ones
	Failures       []Failures
	All            Load   // all loads together, with the latencies of the quick ones
	Loads          []Load // in the order of the report
	Generations    []Generation
}

// Failures are the lost requests of one kind.
type Failures struct {
	Kind  record.Failure
	Count int
	First string // the error of the first one
}

// A Load is the figures of one load. During is of the requests that were due in an upgrade,
// Crash of those after a kill, and Steady of the others.
type Load struct {
	record.Load
	Requests, Lost        int
	Steady, During, Crash Latency
}

// Latency is the percentiles of answered requests.
type Latency struct {
	Count               int
	P50, P90, P99, P999 time.Duration
	Max                 time.Duration
	sorted              []time.Duration
}

// A Generation is a process that answered, in the order in which they began to do so.
type Generation struct {
	Key      Key
	Requests int
}

// A Key tells generations apart. A process that was replaced in place keeps its PID.
type Key struct{ Number, PID int }

// KeyOf returns the generation that answered q, as far as that is known.
func KeyOf(r *record.Report, q record.Request) Key {
	k := Key{q.Generation, q.PID}
	if k == (Key{}) {
		k.PID = r.MainAt(q.End())
	}
	return k
}

// during returns the kind of the upgrade, restart or kill at the time at: from the begin of
// the event until the process before had ended, at least a second. At other times it returns "".
func during(r *record.Report, at time.Duration) record.Kind {
	e, ok := r.Event(at)
	if !ok || e.Kind == record.Start || e.Kind == record.Stop || at >= max(e.Done, e.Drained, e.At+least) {
		return ""
	}
	return e.Kind
}

// Of returns the digest of r.
func Of(r *record.Report) *Digest {
	d := &Digest{Requests: len(r.Requests)}
	for _, e := range r.Events {
		switch {
		case e.Upgrades():
			d.Upgrades++
		case e.Kind == record.Reload || e.Kind == record.Restart:
			d.Undone++
		case e.Kind == record.Kill:
			d.Kills++
		}
	}
	for _, l := range r.Loads {
		d.Loads = append(d.Loads, Load{Load: l})
	}
	d.All.Name = "all quick ones"
	kinds, generations := map[record.Failure]*Failures{}, map[Key]int{}
	for _, q := range r.Requests {
		if q.Load < len(d.Loads) {
			d.Loads[q.Load].add(q, during(r, q.Due))
		}
		if !q.Lost() {
			d.answered(generations, KeyOf(r, q))
			continue
		}
		d.Lost++
		if during(r, q.End()) == record.Kill {
			d.Killed++
		}
		if kinds[q.Failure] == nil {
			kinds[q.Failure] = &Failures{Kind: q.Failure, First: q.Error}
		}
		kinds[q.Failure].Count++
	}
	d.tell(r.Stories)
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		d.Failures = append(d.Failures, *kinds[k])
	}
	slices.SortStableFunc(d.Failures, func(a, b Failures) int { return cmp.Compare(b.Count, a.Count) })
	d.All.Requests, d.All.Lost = d.Requests, d.Lost
	for i := range d.Loads {
		l := &d.Loads[i]
		l.close()
		if l.Steady.Quantile(0) < slow {
			d.All.Steady.sorted = append(d.All.Steady.sorted, l.Steady.sorted...)
			d.All.During.sorted = append(d.All.During.sorted, l.During.sorted...)
			d.All.Crash.sorted = append(d.All.Crash.sorted, l.Crash.sorted...)
		}
	}
	d.All.close()
	return d
}

// tell counts the stories. They know better than the events which requests are excused.
func (d *Digest) tell(stories []record.Story) {
	excused := 0
	for _, s := range stories {
		excused += s.Excused
		if s.Verdict != record.Skipped {
			d.Stories++
		}
		if s.Verdict == record.Failed {
			d.Failed++
		}
	}
	if len(stories) > 0 {
		d.Killed = min(excused, d.Lost)
	}
}

// Good reports whether no request was lost and no story has failed.
func (d *Digest) Good() bool { return d.Unexcused() == 0 && d.Failed == 0 }

// Unexcused returns how many requests were lost without a kill.
func (d *Digest) Unexcused() int { return d.Lost - d.Killed }

func (d *Digest) answered(indexes map[Key]int, k Key) {
	i, known := indexes[k]
	if !known {
		i = len(d.Generations)
		indexes[k] = i
		d.Generations = append(d.Generations, Generation{Key: k})
	}
	d.Generations[i].Requests++
}

func (l *Load) add(q record.Request, during record.Kind) {
	l.Requests++
	switch {
	case q.Lost():
		l.Lost++
	case during == record.Kill:
		l.Crash.sorted = append(l.Crash.sorted, q.Took)
	case during != "":
		l.During.sorted = append(l.During.sorted, q.Took)
	default:
		l.Steady.sorted = append(l.Steady.sorted, q.Took)
	}
}

func (l *Load) close() {
	for _, s := range []*Latency{&l.Steady, &l.During, &l.Crash} {
		slices.Sort(s.sorted)
		s.Count = len(s.sorted)
		s.P50, s.P90, s.P99, s.P999, s.Max = s.Quantile(0.5), s.Quantile(0.9), s.Quantile(0.99), s.Quantile(0.999), s.Quantile(1)
	}
}

// Quantile returns a duration that the fraction q of the answers does not exceed, zero if
// there is none.
func (l Latency) Quantile(q float64) time.Duration {
	if len(l.sorted) == 0 {
		return 0
	}
	return l.sorted[min(len(l.sorted)-1, int(q*float64(len(l.sorted))))]
}
