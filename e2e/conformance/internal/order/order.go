// Package order is what a test and its probe say to each other, gobs (which, unlike
// JSON, keep bytes that are not UTF-8) over a unix stream socket that the test
// listens on: the probe says [Hello], obeys each [Order] with an [Answer], and
// reports signals when they come.
package order

import "time"

// The variables by which a probe finds its test.
const (
	Door = "CONFORMANCE_DOOR" // path of the test's socket
	Unit = "CONFORMANCE_UNIT" // by which the test tells its probes apart
)

// A Hello is the first thing that a probe says.
type Hello struct {
	Unit        string
	Role        string // its first argument
	PID, Parent int
	Env         map[string]string // before LISTEN_* were taken out of it

	Raw        []Raw    // descriptors from 3 on, as the manager left them
	Passed     []Passed // the same, as package activation tells
	Duplicates []string // names of what package activation found twice
	TakeError  string
	TakeTime   time.Duration // of activation.Take
}

// A Raw is a passed descriptor by what the kernel says of it.
type Raw struct {
	Name    string // in LISTEN_FDNAMES
	Inode   uint64
	Cookie  uint64 // SO_COOKIE of a socket
	Content string // of a memfd
}

// A Passed is a descriptor of package activation.
type Passed struct {
	Name, Kind, Network, Addr, Peer string
}

// An Order is one thing for the probe to do, see the probe's table.
type Order struct {
	Do   string
	Args []string
}

// An Answer is what came of an order. One with a Signal is no answer: it says that
// the probe was sent the signal.
type Answer struct {
	Text   string
	N      int
	Raw    Raw // of a file that was made
	Signal string
	Err    string
}
