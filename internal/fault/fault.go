// Package fault defines the points at which tests make a program fail.
//
// The upgrade engine calls [At] at each of its steps. At does nothing and costs
// nothing, unless the program was built with the tag faultpoints. With the tag, At looks
// for an order in the directory that [Variable] names. An order is a symbolic link with
// the name of the point; its target is an action. The first process at the point takes
// the order, by renaming it to [Taken], and performs the action:
//
//	kill    die by SIGKILL
//	stop    stop by SIGSTOP, until a test sends SIGCONT
//	panic   panic
//	exit0   exit with status 0
//	exit1   exit with status 1
//	emfile  go on; for 100 ms the process can neither open nor receive a descriptor
//
// An order is a link without content, so that a process that cannot open a descriptor
// can still read the next order.
package fault

import "fmt"

// A Point is a step of the engine.
type Point string

// The steps of a predecessor, in order. Each comment describes the situation there.
const (
	UpgradeAsked        Point = "upgrade-asked"        // neither the manager nor a successor knows of the upgrade
	ReloadingSaid       Point = "reloading-said"       // the manager knows of the upgrade
	BeforeStart         Point = "before-start"         // the line exists, the successor does not
	Started             Point = "started"              // the successor runs, Hello is not sent
	SocketsDuplicated   Point = "sockets-duplicated"   // the sockets are duplicated and not sent
	BeforeGreeting      Point = "before-greeting"      // as SocketsDuplicated, Hello is sent next
	Greeted             Point = "greeted"              // both processes have sent Hello, and the first sockets are sent
	SocketsAcknowledged Point = "sockets-acknowledged" // the successor has the sockets
	ReadyHeard          Point = "ready-heard"          // Ready is received, the gates are open
	GatesShut           Point = "gates-shut"           // no process accepts
	StateSaved          Point = "state-saved"          // the state is saved and not sent
	BeforeGo            Point = "before-go"            // the successor has the state, Go is not sent
	GoSaid              Point = "go-said"              // the successor may accept
	BeforeCommit        Point = "before-commit"        // the successor accepts, the trial is over
	MarksStored         Point = "marks-stored"         // the marks are in the fd store, Committing is not sent
	LastGoodStored      Point = "last-good-stored"     // the fd store has the last good program, Committing is not sent
	CommittingSaid      Point = "committing-said"      // Committing is sent, MAINPID= is not
	MainPIDSaid         Point = "mainpid-said"         // MAINPID= is sent and not confirmed
	Confirmed           Point = "confirmed"            // the manager has taken MAINPID=, Committed is not sent
	CommittedSaid       Point = "committed-said"       // Committed is sent, the command has no answer
	Draining            Point = "draining"             // the program hears that the generation drains
	ConnectionsSent     Point = "connections-sent"     // a batch of connections is sent and not acknowledged
	ConnectionsTaken    Point = "connections-taken"    // the successor has the batch, the connections are still open here
	Drained             Point = "drained"              // no work is left, the descriptors are open
)

// The steps of a successor, in order.
const (
	Arrived          Point = "arrived"           // Hello is not sent
	Met              Point = "met"               // both processes have sent Hello, the sockets are on their way
	SocketsReceived  Point = "sockets-received"  // all sockets are received
	Initialised      Point = "initialised"       // the program is initialised, Ready is not sent
	ReadySaid        Point = "ready-said"        // Ready is sent, the predecessor may not have read it
	GoHeard          Point = "go-heard"          // the state is received and not restored
	Restored         Point = "restored"          // the state is restored, the gates are shut
	GatesOpen        Point = "gates-open"        // the gates are open, Serving is not sent
	ServingSaid      Point = "serving-said"      // the successor is on trial
	CommittingHeard  Point = "committing-heard"  // the successor does not know which process is main
	AcknowledgeHeard Point = "acknowledge-heard" // MAINPID= has been sent
	MarkRemoved      Point = "mark-removed"      // Acknowledged is sent
	CommittedHeard   Point = "committed-heard"   // the successor is main, and has not settled the fd store
	Proven           Point = "proven"            // the last good program is removed from the fd store
	StoreSettled     Point = "store-settled"     // the fd store is settled, commands do not reach the successor yet

	ConnectionsHeard Point = "connections-heard" // a batch of connections is received, the predecessor has them as well
	TakenSaid        Point = "taken-said"        // the predecessor has given the batch up, Accept has not returned it
)

// The steps of a process whose program is replaced in place. They lie between ReadyHeard
// and Restored.
const (
	Tried     Point = "tried"      // the new program could serve; the gates are shut and work drains
	Cleared   Point = "cleared"    // no work is left
	ImageMade Point = "image-made" // execve is not called
	Become    Point = "become"     // the new program runs and has not taken the inherited descriptors
)

// The steps of a main process that is told to stop, and of the main process that the
// manager starts after it.
const (
	StopAsked       Point = "stop-asked"       // the gates are open
	StopGatesShut   Point = "stop-gates-shut"  // the gates are shut, work drains
	StopDrained     Point = "stop-drained"     // no work is left, the state is not saved
	StateStored     Point = "state-stored"     // the state is in the fd store
	FallingBack     Point = "falling-back"     // the last good program is not executed yet
	Begun           Point = "begun"            // the descriptors passed by the manager are not taken
	SocketsTaken    Point = "sockets-taken"    // the descriptors passed by the manager are taken
	BeforeAnnounced Point = "before-announced" // READY=1 is not sent
	Announced       Point = "announced"        // READY=1 is sent, the gates are shut
)

// Points returns all points.
func Points() []Point {
	return []Point{
		UpgradeAsked, ReloadingSaid, BeforeStart, Started, SocketsDuplicated, BeforeGreeting, Greeted,
		SocketsAcknowledged, ReadyHeard, GatesShut, StateSaved, BeforeGo, GoSaid, BeforeCommit, MarksStored,
		LastGoodStored, CommittingSaid, MainPIDSaid, Confirmed, CommittedSaid, Draining,
		ConnectionsSent, ConnectionsTaken, Drained,

		Arrived, Met, SocketsReceived, Initialised, ReadySaid, GoHeard, Restored, GatesOpen, ServingSaid,
		CommittingHeard, AcknowledgeHeard, MarkRemoved, CommittedHeard, StoreSettled, Proven, ConnectionsHeard, TakenSaid,

		Tried, Cleared, ImageMade, Become,

		StopAsked, StopGatesShut, StopDrained, StateStored, FallingBack, Begun, SocketsTaken, BeforeAnnounced, Announced,
	}
}

// An Action is the target of an order: the way in which a process fails.
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

// Variable is the environment variable that names the directory of the orders. The
// processes must be able to write to that directory.
const Variable = "CUTOVER_FAULTS"

// Taken returns the name of an order for p after the process pid has taken it.
func Taken(p Point, pid int) string { return fmt.Sprintf("%s.%d", p, pid) }
