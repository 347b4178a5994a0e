// Package order defines the messages between a test and its probe: gobs (which, unlike
// JSON, keep bytes that are not UTF-8) over a unix stream socket on which the test
// listens. The probe sends [Hello], answers each [Order] with an [Answer], and
// reports the signals that it gets.
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

// A Raw describes a passed descriptor as the kernel reports it.
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

// An Answer is the result of an order. An Answer with a Signal belongs to no order: it
// reports that the probe got the signal.
type Answer struct {
	Text   string
	N      int
	Raw    Raw // of a file that was made
	Signal string
	Err    string
}
