// Package fault has the places at which tests make a program fail.
//
// The upgrade engine calls [At] at each of its steps. That does nothing and costs
// nothing, unless the program was built with the tag faultpoints: then it looks for
// an order in the directory that [Variable] names, a symbolic link that has the
// name of the point and points to an action. The process that gets there first
// takes the order, by renaming it to what [Taken] says, and does as it is told.
//
//	kill    dies by SIGKILL
//	stop    stops by SIGSTOP, until somebody continues it
//	panic   panics
//	exit0   exits with status 0, exit1 with 1
//	emfile  goes on, but for 100 ms cannot open a descriptor or be sent one
//
// An order is a name without content because a process that cannot open a
// descriptor must be able to read the next one.
package fault

import "fmt"

// A Point is a step of the engine.
type Point string

// The steps of a predecessor, in order.
const (
	UpgradeAsked        Point = "upgrade-asked"        // nobody has been told yet
	ReloadingSaid       Point = "reloading-said"       // the manager has
	BeforeStart         Point = "before-start"         // the line is there, the successor is not
	Started             Point = "started"              // nothing was said to the successor
	BeforeGreeting      Point = "before-greeting"      // the same, on the successor's goroutine
	Greeted             Point = "greeted"              // both have said Hello
	SocketsDuplicated   Point = "sockets-duplicated"   // and not sent
	SocketsAcknowledged Point = "sockets-acknowledged" // the successor has them
	ReadyHeard          Point = "ready-heard"          // the gates are open
	GatesShut           Point = "gates-shut"           // nobody accepts
	StateSaved          Point = "state-saved"          // and not sent
	BeforeGo            Point = "before-go"            // the successor has the state
	GoSaid              Point = "go-said"              // it may accept
	BeforeCommit        Point = "before-commit"        // it does, and the trial is over
	MarksStored         Point = "marks-stored"         // in the fd store, the successor knows nothing
	CommittingSaid      Point = "committing-said"      // the manager does not know
	MainPIDSaid         Point = "mainpid-said"         // it may
	Confirmed           Point = "confirmed"            // it does, the successor may not
	CommittedSaid       Point = "committed-said"       // it does, who asked does not
	Draining            Point = "draining"             // all are told
	ConnectionsSent     Point = "connections-sent"     // and not acknowledged
	ConnectionsTaken    Point = "connections-taken"    // they are, and still open here
	Drained             Point = "drained"              // before the descriptors are closed
)

// The steps of a successor, in order.
const (
	Arrived          Point = "arrived"           // before its Hello
	Met              Point = "met"               // the sockets are on their way
	SocketsReceived  Point = "sockets-received"  // all of them
	Initialised      Point = "initialised"       // before Ready is said
	ReadySaid        Point = "ready-said"        // the predecessor may not have read it
	GoHeard          Point = "go-heard"          // state is here, and was not restored
	Restored         Point = "restored"          // the gates are shut
	GatesOpen        Point = "gates-open"        // before Serving is said
	ServingSaid      Point = "serving-said"      // on trial
	CommittingHeard  Point = "committing-heard"  // who is main is open
	AcknowledgeHeard Point = "acknowledge-heard" // the manager has been told
	MarkRemoved      Point = "mark-removed"      // it shows whom the manager takes for the main process
	CommittedHeard   Point = "committed-heard"   // it is us
	StoreSettled     Point = "store-settled"     // we know it, and are not reachable

	ConnectionsHeard Point = "connections-heard" // the predecessor has them as well
	TakenSaid        Point = "taken-said"        // it has not, and nobody accepts them yet
)

// The steps of a process whose program is replaced in place, between ReadyHeard and
// Restored.
const (
	Tried     Point = "tried"      // the new program could serve; gates are shut, the rest is drained
	Cleared   Point = "cleared"    // nothing is in work
	ImageMade Point = "image-made" // before execve
	Become    Point = "become"     // after it; descriptors are inherited and not taken
)

// The steps of a main process that is told to stop, and of the one that the manager
// starts after it.
const (
	StopAsked       Point = "stop-asked"       // the gates are open
	StopGatesShut   Point = "stop-gates-shut"  // the rest is drained
	StopDrained     Point = "stop-drained"     // state was not saved
	StateStored     Point = "state-stored"     // it is in the fd store
	Begun           Point = "begun"            // descriptors passed by the manager are not taken
	SocketsTaken    Point = "sockets-taken"    // they are
	BeforeAnnounced Point = "before-announced" // READY=1 was not said
	Announced       Point = "announced"        // it was, the gates are shut
)

// Points returns all points.
func Points() []Point {
	return []Point{
		UpgradeAsked, ReloadingSaid, BeforeStart, Started, BeforeGreeting, Greeted, SocketsDuplicated,
		SocketsAcknowledged, ReadyHeard, GatesShut, StateSaved, BeforeGo, GoSaid, BeforeCommit, MarksStored,
		CommittingSaid, MainPIDSaid, Confirmed, CommittedSaid, Draining,
		ConnectionsSent, ConnectionsTaken, Drained,

		Arrived, Met, SocketsReceived, Initialised, ReadySaid, GoHeard, Restored, GatesOpen, ServingSaid,
		CommittingHeard, AcknowledgeHeard, MarkRemoved, CommittedHeard, StoreSettled, ConnectionsHeard, TakenSaid,

		Tried, Cleared, ImageMade, Become,

		StopAsked, StopGatesShut, StopDrained, StateStored, Begun, SocketsTaken, BeforeAnnounced, Announced,
	}
}

// An Action is what an order tells a process to do.
type Action string

// The actions.
const (
	Kill   Action = "kill"
	Stop   Action = "stop"
	Panic  Action = "panic"
	Exit0  Action = "exit0"
	Exit1  Action = "exit1"
	EMFILE Action = "emfile"
)

// Actions returns all actions.
func Actions() []Action { return []Action{Kill, Stop, Panic, Exit0, Exit1, EMFILE} }

// Variable is the environment variable with the directory of the orders. The
// processes must be able to write to it.
const Variable = "CUTOVER_FAULTS"

// Taken is the name of an order for p after the process pid has taken it.
func Taken(p Point, pid int) string { return fmt.Sprintf("%s.%d", p, pid) }
