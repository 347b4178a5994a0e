//go:build linux

package upgradetest

import (
	"errors"
	"slices"
)

type jobKind string

const (
	jobStart   jobKind = "start"
	jobStop    jobKind = "stop"
	jobRestart jobKind = "restart"
	jobReload  jobKind = "reload"
)

// A job is a request to start, stop, restart or reload a unit. A unit has at most one.
type job struct {
	unit    unit
	kind    jobKind
	running bool // the unit is at it; otherwise it waits for its turn
	waiters []chan<- error
}

type jobResult string

const (
	jobDone     jobResult = "done"
	jobFailed   jobResult = "failed"
	jobCanceled jobResult = "canceled"
	jobInvalid  jobResult = "invalid"
)

// Answers of a unit to a request.
var (
	errAgain   = errors.New("not now, ask again when the state has changed")
	errAlready = errors.New("already so")
	errInvalid = errors.New("not possible in this state")
)

// submit gives u a job, or makes the one that it has do for both. The outcome
// goes to waiter, which must have room for it; waiter may be nil.
func (m *Manager) submit(u unit, kind jobKind, waiter chan<- error) {
	b := u.base()
	if b.job != nil && (b.job.kind == jobStop) != (kind == jobStop) {
		m.finish(b.job, jobCanceled)
	}
	if b.job == nil {
		b.job = &job{unit: u, kind: kind}
	} else if merged := mergeKinds(b.job.kind, kind); kind == jobReload || merged != b.job.kind {
		// A reload that runs may have read the old configuration already, so it
		// runs once more for both: the outcome of the first is lost.
		b.log.printf("%s: %s job merged into the %s job, which runs again", b.name, kind, b.job.kind)
		b.job.kind, b.job.running = merged, false
		b.notifyChange()
	}
	if waiter != nil {
		b.job.waiters = append(b.job.waiters, waiter)
	}
	m.enqueue(b.job)
}

func mergeKinds(a, b jobKind) jobKind {
	switch {
	case a == jobRestart || b == jobRestart:
		return jobRestart
	case a == jobReload || b == jobReload:
		return jobReload
	}
	return a
}

func (m *Manager) enqueue(j *job) {
	if !j.running && !slices.Contains(m.runQueue, j) {
		m.runQueue = append(m.runQueue, j)
	}
}

// runJobs starts the jobs that wait. A job that has to wait longer is enqueued
// again when its unit changes.
func (m *Manager) runJobs() {
	for len(m.runQueue) > 0 {
		j := m.runQueue[0]
		m.runQueue = m.runQueue[1:]
		if j.unit.base().job == j && !j.running {
			m.runJob(j)
		}
	}
}

func (m *Manager) runJob(j *job) {
	j.running = true // the unit may finish the job before it returns
	err := j.perform()
	if j.unit.base().job != j || !j.running {
		return
	}
	switch {
	case err == nil:
	case errors.Is(err, errAgain):
		j.running = false
	case errors.Is(err, errAlready):
		m.finish(j, jobDone)
	case errors.Is(err, errInvalid):
		m.finish(j, jobInvalid)
	default:
		j.unit.base().log.printf("%v", err)
		m.finish(j, jobFailed)
	}
}

func (j *job) perform() error {
	state := j.unit.activeState()
	switch j.kind {
	case jobStart:
		if state == "active" || state == "reloading" {
			return errAlready
		}
		return j.unit.start()
	case jobReload:
		if state == "reloading" || state == "activating" {
			return errAgain
		}
		if state != "active" {
			return errInvalid
		}
		return j.unit.reload()
	}
	if state == "inactive" || state == "failed" {
		return errAlready
	}
	return j.unit.stop()
}

// stateChanged looks whether the unit's job has come to its end.
func (m *Manager) stateChanged(u unit) {
	if j := u.base().job; j != nil && j.running {
		if r := j.outcomeIn(u.activeState(), m.options.Version); r != "" {
			m.finish(j, r)
		}
	} else if j != nil {
		m.enqueue(j)
	}
	m.tellSockets(u)
	u.base().notifyChange()
}

// outcomeIn returns the result of a running job whose unit is now in state, ""
// if it goes on.
func (j *job) outcomeIn(state string, version int) jobResult {
	down := state == "inactive" || state == "failed"
	switch {
	case j.kind == jobStart && (state == "active" || state == "reloading"):
		return jobDone
	case j.kind == jobReload && state == "active":
		if j.unit.reloaded() == success {
			return jobDone
		}
		return jobFailed
	case j.kind == jobReload && down && version >= 259:
		return jobCanceled
	case (j.kind == jobStart || j.kind == jobReload) && state == "failed":
		return jobFailed
	case down:
		return jobDone
	case (j.kind == jobStop || j.kind == jobRestart) && state != "deactivating":
		return jobFailed
	}
	return ""
}

// A reply is the outcome of a job for one who waits for it. It is sent when the
// event that ended the job has been handled to its end.
type reply struct {
	to      chan<- error
	outcome error
}

func (m *Manager) sendReplies() {
	for _, r := range m.replies {
		r.to <- r.outcome // it has room, see submit
	}
	m.replies = nil
}

// finish ends a job and tells its waiters. After the stop half of a restart it begins
// the start half instead.
func (m *Manager) finish(j *job, r jobResult) {
	if j.kind == jobRestart && r == jobDone {
		j.kind, j.running = jobStart, false
		m.enqueue(j)
		return
	}
	b := j.unit.base()
	b.job = nil
	for _, w := range j.waiters {
		m.replies = append(m.replies, reply{w, j.exitError(r)})
	}
	m.tellSockets(j.unit)
	b.notifyChange()
}
