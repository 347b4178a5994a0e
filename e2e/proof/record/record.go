// Package record holds the data of a run of upgrades under load: every request, every
// upgrade, the size of the process over time, and the result of each story. Package
// proof, the demo and the measuring programs fill in a [Report]; programs that print
// or draw read it.
//
// All types have JSON tags. A time within a Report is the time.Duration since
// Report.Began, which JSON has as a number of nanoseconds. Fields may be added; a reader
// ignores the ones that it does not know.
package record

import "time"

// A Report is the data of one run.
type Report struct {
	Title       string        `json:"title"`   // the service or the program
	Began       time.Time     `json:"began"`   // zero of all times below
	Elapsed     time.Duration `json:"elapsed"` // the length of the run
	Environment Environment   `json:"environment"`
	Loads       []Load        `json:"loads"`
	Requests    []Request     `json:"requests"` // in the order in which they ended
	Events      []Event       `json:"events"`   // in the order in which they began
	Samples     []Sample      `json:"samples"`  // in the order of time
	Stories     []Story       `json:"stories"`
}

// An Environment describes the machine of the run.
type Environment struct {
	Manager    string `json:"manager"` // "systemd 252", "embedded manager", "none"
	Kernel     string `json:"kernel"`
	Go         string `json:"go"` // version of the toolchain
	Processors int    `json:"processors"`
	Command    string `json:"command,omitempty"` // the command that repeats the run
}

// A Load is a stream of equal requests at a constant rate.
type Load struct {
	Name     string  `json:"name"`     // "HTTP/1.1, kept connections"
	Protocol string  `json:"protocol"` // "HTTP/1.1", "HTTP/2", "TCP", "UDP", "WebSocket", ...
	Address  string  `json:"address"`
	Rate     float64 `json:"rate"`  // requests that start each second
	Conns    int     `json:"conns"` // connections that are kept between requests, 0 for a new one each time
}

// A Request is one request. A client that is late starts it after Due, so Took contains the
// client's delay.
type Request struct {
	Load       int           `json:"load"` // index into Report.Loads
	Due        time.Duration `json:"due"`  // the intended start
	Took       time.Duration `json:"took"` // from Due to the last byte of the answer, or to the failure
	Failure    Failure       `json:"failure,omitempty"`
	Error      string        `json:"error,omitempty"`      // of a failure, the text of it
	Kept       bool          `json:"kept,omitempty"`       // the connection had answered a request before
	Datagram   bool          `json:"datagram,omitempty"`   // the request went out in datagrams
	PID        int           `json:"pid,omitempty"`        // of the process that answered, if it is known
	Generation int           `json:"generation,omitempty"` // of the same, if it is known
}

// Lost reports whether the request has failed.
func (r Request) Lost() bool { return r.Failure != "" }

// End returns when the answer was complete, or when the request had failed.
func (r Request) End() time.Duration { return r.Due + r.Took }

// A Failure is a way in which a request fails; "" is an answered request.
type Failure string

// The failures. Loads may have others.
const (
	Refused     Failure = "refused"            // no connection: connection refused
	DialTimeout Failure = "dial timeout"       // no connection until the request's deadline
	DialFailed  Failure = "dial failed"        // no connection: any other error
	Handshake   Failure = "no handshake"       // no TLS or no protocol on a new connection
	Reset       Failure = "reset"              // the connection broke before the first byte of the answer
	EOF         Failure = "closed"             // the server closed the connection without a byte of an answer
	Truncated   Failure = "truncated answer"   // the connection ended within the answer
	Timeout     Failure = "timeout"            // no complete answer until the request's deadline
	BadAnswer   Failure = "bad answer"         // a complete answer, and a wrong one
	Unserved    Failure = "closed before turn" // pipelined behind an answer after which the server closed
	NotSent     Failure = "not sent"           // too many requests wait for an answer
)

// A Kind is what an Event does to the service.
type Kind string

// The kinds of events.
const (
	Start   Kind = "start"   // of the service by its manager
	Stop    Kind = "stop"    // the opposite
	Reload  Kind = "reload"  // an upgrade
	Restart Kind = "restart" // a restart by its manager
	Kill    Kind = "kill"    // SIGKILL for a process
	Deploy  Kind = "deploy"  // a new file at the path of the program
)

// An Event is an action of the operator, with its effect.
type Event struct {
	Kind    Kind          `json:"kind"`
	Story   string        `json:"story,omitempty"` // the story in which it took place
	At      time.Duration `json:"at"`              // when it began
	Done    time.Duration `json:"done"`            // when the command had returned; at a kill, when another process was ready
	Drained time.Duration `json:"drained"`         // when the process Before had ended, 0 if that was not seen
	Before  int           `json:"before"`          // the main process at the beginning, 0 for none
	After   int           `json:"after"`           // the main process at Done, 0 for none
	Text    string        `json:"text"`            // in a few words: "a program that exits at once"
	Error   string        `json:"error,omitempty"` // of the command
}

// Upgrades reports whether the Event has replaced the main process.
func (e Event) Upgrades() bool {
	return (e.Kind == Reload || e.Kind == Restart) && e.Error == ""
}

// A Sample is the size of a process at one time.
type Sample struct {
	At          time.Duration `json:"at"`
	PID         int           `json:"pid"`
	Descriptors int           `json:"descriptors"`
	Threads     int           `json:"threads"`
	Memory      int64         `json:"memory"`               // resident bytes
	Goroutines  int           `json:"goroutines,omitempty"` // if the process tells it
	Processes   int           `json:"processes,omitempty"`  // of the whole service
}

// A Verdict is the result of a story.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// A Story is one test of the service.
type Story struct {
	Name     string        `json:"name"` // "reload under load"
	Began    time.Duration `json:"began"`
	Ended    time.Duration `json:"ended"`
	Verdict  Verdict       `json:"verdict"`
	Reason   string        `json:"reason,omitempty"` // of a failure, one paragraph; of a skipped story, the missing part
	Requests int           `json:"requests"`         // that ended in the story
	Lost     int           `json:"lost"`             // of them, those that must not fail
	Excused  int           `json:"excused"`          // of them, those that failed with a killed process
}
