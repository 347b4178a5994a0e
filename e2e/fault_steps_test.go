package e2e

import (
	"slices"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
)

// What the server is started with, for the cases: short, and long enough for two
// cores under load.
const (
	faultReady = 3 * time.Second
	faultTrial = 100 * time.Millisecond
)

// ending is who serves in the end, one or several of these.
type ending uint8

const (
	undone    ending = 1 << iota // the predecessor, as if nothing had been tried
	upgraded                     // the successor
	restarted                    // a process that the manager has started
)

func (e ending) String() string {
	switch e {
	case undone:
		return "predecessor"
	case upgraded:
		return "successor"
	case restarted:
		return "new process"
	}
	return "one of several"
}

// verdict is what the command that began it must say.
type verdict uint8

const (
	tellsTruth  verdict = iota // success if, and only if, the successor serves
	mustSucceed                // success
	mustFail                   // failure; also where the only process that could tell is dead
	mayFail                    // either: it raced with the fault
)

// faultStep is a point and what has to come of a fault there.
type faultStep struct {
	point   fault.Point
	restart bool // of a restart, not of an upgrade
	crash   bool // of the start after a crash in the probation

	dies  ending  // if the process ends there, however
	tells verdict // the same, but for a main process that exits with 0: see tellsOf

	stops time.Duration // how long it is stopped; 0: until the engine kills it
	then  ending        // after that
	short ending        // if there are no descriptors
}

// Stops outlast the timeout that runs in the stopped process or in the other
// one, where there is one. The switch takes 5 s at most.
const (
	stopAnyway = 500 * time.Millisecond
	stopReady  = faultReady + 500*time.Millisecond
	stopSwitch = 5500 * time.Millisecond
)

// The endings that are right where it depends on which descriptor is missing.
const either = undone | upgraded

// faultSteps are all points of an upgrade beside the running process, and of a
// restart. Before the datagram with MAINPID= the predecessor's death is the service's:
// the manager starts it again. From then on the successor's is, and the successor answers
// the command if the predecessor has not.
var faultSteps = []faultStep{
	{point: fault.UpgradeAsked, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	{point: fault.ReloadingSaid, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	{point: fault.BeforeStart, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	{point: fault.Started, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	{point: fault.SocketsDuplicated, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	{point: fault.BeforeGreeting, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	{point: fault.Greeted, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	{point: fault.SocketsAcknowledged, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	{point: fault.ReadyHeard, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	{point: fault.GatesShut, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	{point: fault.StateSaved, dies: restarted, tells: mustFail, stops: stopSwitch, then: upgraded, short: either},
	{point: fault.BeforeGo, dies: restarted, tells: mustFail, stops: stopSwitch, then: upgraded, short: either},
	{point: fault.GoSaid, dies: restarted, tells: mustFail, stops: stopSwitch, then: upgraded, short: either},
	{point: fault.BeforeCommit, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	{point: fault.MarksStored, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	{point: fault.CommittingSaid, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	{point: fault.MainPIDSaid, dies: upgraded, tells: mustSucceed, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.Confirmed, dies: upgraded, tells: mustSucceed, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.CommittedSaid, dies: upgraded, tells: mustSucceed, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.Draining, dies: upgraded, tells: mustSucceed, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.ConnectionsSent, dies: upgraded, tells: mustSucceed, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.ConnectionsTaken, dies: upgraded, tells: mustSucceed, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.Drained, dies: upgraded, tells: mustSucceed, stops: stopAnyway, then: upgraded, short: upgraded},

	{point: fault.Arrived, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.Met, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.SocketsReceived, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.Initialised, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.ReadySaid, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.GoHeard, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.Restored, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.GatesOpen, dies: undone, tells: mustFail, then: undone, short: either},
	{point: fault.ServingSaid, dies: undone, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	// The predecessor is telling the manager meanwhile.
	{point: fault.CommittingHeard, dies: undone | restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: either},
	// MAINPID= is said, and may not be read before this process is dead.
	{point: fault.AcknowledgeHeard, dies: undone | restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.MarkRemoved, dies: undone | restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: upgraded},
	// The manager ends the command, which has its answer, if it is not gone yet.
	{point: fault.CommittedHeard, dies: restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.StoreSettled, dies: restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.ConnectionsHeard, dies: restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.TakenSaid, dies: restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: upgraded},

	{point: fault.StopAsked, restart: true, dies: restarted, tells: mustSucceed, stops: stopAnyway, then: restarted, short: restarted},
	{point: fault.StopGatesShut, restart: true, dies: restarted, tells: mustSucceed, stops: stopAnyway, then: restarted, short: restarted},
	{point: fault.StopDrained, restart: true, dies: restarted, tells: mustSucceed, stops: stopAnyway, then: restarted, short: restarted},
	{point: fault.StateStored, restart: true, dies: restarted, tells: mustSucceed, stops: stopAnyway, then: restarted, short: restarted},
	// The command waits for this start, and not for the one after it.
	{point: fault.Begun, restart: true, dies: restarted, tells: mayFail, stops: stopAnyway, then: restarted, short: restarted},
	{point: fault.SocketsTaken, restart: true, dies: restarted, tells: mayFail, stops: stopAnyway, then: restarted, short: restarted},
	{point: fault.BeforeAnnounced, restart: true, dies: restarted, tells: mayFail, stops: stopAnyway, then: restarted, short: restarted},
	{point: fault.Announced, restart: true, dies: restarted, tells: mayFail, stops: stopAnyway, then: restarted, short: restarted},
}

// lastGoodSteps are the points of an upgrade to a new file, with a probation, and of the start
// after a crash in it.
var lastGoodSteps = []faultStep{
	{point: fault.LastGoodStored, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	{point: fault.Proven, dies: restarted, tells: mayFail, stops: stopAnyway, then: upgraded, short: upgraded},
	{point: fault.FallingBack, crash: true, dies: restarted, tells: mayFail},
}

// inPlaceSteps are the points of an upgrade in place. Up to the trial of the new
// program they are the same; then there is one process, whose death is the
// service's.
var inPlaceSteps = append(stepsUpTo(fault.ReadyHeard, fault.Arrived, fault.Met, fault.SocketsReceived, fault.Initialised),
	// It has said that it could serve, which is all that was asked.
	faultStep{point: fault.ReadySaid, dies: upgraded, tells: mustSucceed, then: upgraded, short: either},
	faultStep{point: fault.Tried, dies: restarted, tells: mustFail, stops: stopReady, then: upgraded, short: either},
	faultStep{point: fault.Cleared, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	// The shortage passes through execve, and does not end there.
	faultStep{point: fault.ImageMade, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either | restarted},
	faultStep{point: fault.Become, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: restarted},
	faultStep{point: fault.Restored, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	faultStep{point: fault.BeforeAnnounced, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
	faultStep{point: fault.Announced, dies: restarted, tells: mustFail, stops: stopAnyway, then: upgraded, short: either},
)

// stepsUpTo returns the steps up to last, and those of others.
func stepsUpTo(last fault.Point, others ...fault.Point) (some []faultStep) {
	reached := slices.IndexFunc(faultSteps, func(s faultStep) bool { return s.point == last })
	for i, s := range faultSteps {
		if i <= reached || slices.Contains(others, s.point) {
			some = append(some, s)
		}
	}
	return some
}

// isIn reports whether p is the point of one of some.
func (s faultStep) isIn(some []faultStep) bool {
	return slices.ContainsFunc(some, func(o faultStep) bool { return o.point == s.point })
}

// tellsOf is what the command must say if the process dies. Where a main process
// exits with 0 during a reload, systemd counts both, stop and reload, as a success.
func (c faultCase) tellsOf() verdict {
	if c.action == fault.Exit0 && c.dies&restarted != 0 {
		return mayFail
	}
	return c.tells
}
