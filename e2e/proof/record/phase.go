package record

import "time"

// A Phase is a part of an upgrade.
type Phase string

// The phases, in their order.
const (
	Before   Phase = "before the upgrade"
	Starting Phase = "between the start of the new process and its readiness"
	Draining Phase = "in the drain of the old process"
	After    Phase = "after the upgrade"
)

// Phase returns the phase of e at the time at.
func (e Event) Phase(at time.Duration) Phase {
	switch {
	case at < e.At:
		return Before
	case at < e.Done:
		return Starting
	case at < e.Drained || e.Drained == 0:
		return Draining
	}
	return After
}

// Event returns the last reload, restart or kill that began before the time at.
func (r *Report) Event(at time.Duration) (e Event, ok bool) {
	for _, next := range r.Events {
		if next.Kind != Deploy && next.At <= at {
			e, ok = next, true
		}
	}
	return e, ok
}

// MainAt returns the main process at the time at, 0 if it is not known. A report uses it to
// colour requests that do not tell which process answered.
func (r *Report) MainAt(at time.Duration) (pid int) {
	for _, e := range r.Events {
		switch {
		case e.Kind == Deploy:
		case at >= e.Done && e.After != 0:
			pid = e.After
		case at >= e.At && pid == 0:
			pid = e.Before
		}
	}
	return pid
}

// Generations returns the main processes in the order in which they served. A process that
// was replaced in place is there once.
func (r *Report) Generations() (pids []int) {
	seen := map[int]bool{0: true}
	for _, e := range r.Events {
		for _, pid := range []int{e.Before, e.After} {
			if !seen[pid] {
				seen[pid], pids = true, append(pids, pid)
			}
		}
	}
	return pids
}

// Lost returns the requests that have failed.
func (r *Report) Lost() (lost []Request) {
	for _, q := range r.Requests {
		if q.Lost() {
			lost = append(lost, q)
		}
	}
	return lost
}

// Failed returns the stories that have failed.
func (r *Report) Failed() (failed []Story) {
	for _, s := range r.Stories {
		if s.Verdict == Failed {
			failed = append(failed, s)
		}
	}
	return failed
}
