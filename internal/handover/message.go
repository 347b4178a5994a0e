package handover

import (
	"errors"

	"github.com/cutover-go/cutover/internal/fd"
)

// The protocol versions that this package speaks.
const (
	MinVersion = 1
	MaxVersion = 1
)

// ErrProtocol is wrapped by every error that the other side's bytes caused.
var ErrProtocol = errors.New("handover protocol")

// A Message is one of the types below.
type Message interface{ kind() kind }

type kind byte

const (
	kindHello       kind = 1
	kindDescriptors kind = 2
	kindReceived    kind = 3
	kindReady       kind = 4
	kindFailed      kind = 5
	kindGo          kind = 6
	kindServing     kind = 7
	kindCommitting  kind = 8
	kindCommitted   kind = 9
	kindStopping    kind = 10
	kindSuperseded  kind = 11
	kindGoodbye     kind = 12
	kindStates      kind = 13
	kindConnections kind = 14
	kindTaken       kind = 15

	// kindOptional is the first kind that a reader may skip.
	kindOptional kind = 128

	kindDraining     kind = 128
	kindMoreReceives kind = 129
	kindForgotten    kind = 130
	kindAcknowledge  kind = 131
	kindAcknowledged kind = 132
	kindCommand      kind = 133
	kindThird        kind = 134
	kindLastGood     kind = 135
)

// Hello is the first message in both directions.
type Hello struct {
	MinVersion int  `json:"min"`
	MaxVersion int  `json:"max"`
	PID        int  `json:"pid"`
	ParentPID  int  `json:"ppid"`
	Generation int  `json:"generation,omitempty"` // number of the predecessor; the successor adds 1
	Trying     bool `json:"trying,omitempty"`     // the successor is only tried, before an exec in place

	Program string `json:"program,omitempty"` // identity of the successor's executable, see fd.Identity
}

// Entry describes one descriptor of a batch.
type Entry struct {
	Name   string `json:"name"`
	Index  int    `json:"index"`  // tells entries of one name apart
	Origin string `json:"origin"` // where the descriptor is kept while no process runs

	Unstored bool `json:"unstored,omitempty"` // the entry belongs into the fd store and is not there yet
}

// Origins of a descriptor.
const (
	OriginUnit   = "unit"   // kept by a .socket unit; never put into the fd store
	OriginOwn    = "own"    // bound by a generation of the program; kept by the fd store
	OriginInbox  = "inbox"  // kept nowhere; the successor reads datagrams of other processes from it
	OriginOutlet = "outlet" // kept nowhere; the other end of an inbox; Index is the number of the process that reads there
)

// Descriptors is a batch. FDs[i] belongs to Entries[i]. The receiver owns the FDs.
type Descriptors struct {
	Entries []Entry  `json:"entries"`
	Last    bool     `json:"last,omitempty"`
	FDs     []*fd.FD `json:"-"`
}

// Received acknowledges a batch.
type Received struct{}

// Ready says that the successor is ready to serve. Receives has, by the name of the
// listener, the formats of connections that the successor takes over. Receives of a
// program that is older than Connections is empty, so no connection is sent to it.
//
// Acknowledges says that the successor answers Acknowledge.
type Ready struct {
	Receives     map[string][]string `json:"receives,omitempty"`
	Acknowledges bool                `json:"acknowledges,omitempty"`
}

// Failed says why the successor cannot serve. The successor exits after it.
type Failed struct {
	Reason string `json:"reason"`
}

// States is saved state: sealed memfds by name, and the names under which the fd
// store has state. It precedes Go, as several messages if the lists are long. The
// receiver owns the FDs.
type States struct {
	Names  []string `json:"names"`
	Stored []string `json:"stored,omitempty"`
	FDs    []*fd.FD `json:"-"`
}

// Go lets the successor accept.
type Go struct{}

// Serving says that the successor accepts.
type Serving struct{}

// Command is the conversation with the command that waits for the upgrade, if there is
// one. It precedes Committing. The successor answers the command, too, because the
// predecessor may be killed before its answer. FDs is empty if the receiver had no room for
// the descriptor; then only the predecessor answers. The receiver owns the FDs.
type Command struct {
	FDs []*fd.FD `json:"-"`
}

// LastGood is the program that is executed if the successor dies before it is proven. Names
// lists the entries of the fd store that have it, each with the identity of another program.
// FDs holds the executable, for the next LastGood. It is empty if the sender could not open it,
// or the receiver had no room. LastGood precedes Committing, if there are such entries. The
// receiver owns the FDs.
type LastGood struct {
	Names []string `json:"names"`
	FDs   []*fd.FD `json:"-"`
}

// Committing says that MAINPID= is sent next. If the predecessor ends after Committing,
// the successor is the main process. Marked says that the fd store has two marks of this
// upgrade.
type Committing struct {
	Marked bool `json:"marked,omitempty"`
}

// Acknowledge follows Committing after MAINPID= was sent. It asks the successor to show
// that the manager takes it for the main process.
type Acknowledge struct{}

// Acknowledged says that the successor has sent the manager a request that the manager
// grants to the main process only.
type Acknowledged struct{}

// Committed says that the manager has taken MAINPID=.
type Committed struct{}

// Draining describes the generations that have not ended: the predecessor that sends the
// message, and older ones. It is sent with the commit, when one of them ends, and once a
// second while a number changes.
type Draining struct {
	Generations int `json:"generations"`
	Generation  int `json:"generation,omitempty"` // of the predecessor
	Held        int `json:"held,omitempty"`       // connections and other holds that keep them from ending
	Left        int `json:"left,omitempty"`       // seconds until the last drain deadline
	Overdue     int `json:"overdue,omitempty"`    // generations that go on after their drain deadline
}

// Stopping says that the successor was told to stop, so that its end is no crash.
type Stopping struct{}

// Superseded says that a third generation has taken over from the successor. From then
// on, the end of the successor is no crash of the main process.
type Superseded struct{}

// Goodbye is the last message of a drained successor. It introduces the process that has
// superseded the successor. FDs holds the pidfd of that process, then the line to it.
type Goodbye struct {
	PID        int                 `json:"pid"`                  // pid of the process
	Superseded bool                `json:"superseded,omitempty"` // the process has been superseded, too
	Receives   map[string][]string `json:"receives,omitempty"`   // Receives of the Ready message of the process
	FDs        []*fd.FD            `json:"-"`
}

// Third says that the successor commits the third generation: MAINPID= of the process PID is
// sent next. FDs holds the pidfd of that process, then the predecessor's end of the
// successor's mark, if the manager has the marks. Third without FDs takes that back. It is
// sent to a predecessor that drains. The receiver owns the FDs.
type Third struct {
	PID int      `json:"pid,omitempty"`
	FDs []*fd.FD `json:"-"`
}

// moreReceives is a part of the Receives of the next Ready or Goodbye, sent if they do not
// fit into one frame. Conn.Receive joins the parts.
type moreReceives struct {
	Receives map[string][]string `json:"receives"`
}

// Forgotten lists files that the predecessor has handed over and then forgotten. It
// precedes Go and Committing, if there are such files.
type Forgotten struct {
	Entries []Entry `json:"entries"`
}

// Connection describes an established connection.
type Connection struct {
	Name   string `json:"name"`           // name of the listener that accepted it
	Format string `json:"format"`         // encoding of Data; the program chooses the word
	Data   []byte `json:"data,omitempty"` // data with which the program goes on
}

// Connections is a batch of connections, sent after the commit. FDs[i] belongs to
// Connections[i]. FDs is empty if the receiver had no room for all descriptors. The
// sender still has the connections then, and keeps the refused ones. The receiver owns
// the FDs.
type Connections struct {
	Connections []Connection `json:"connections"`
	FDs         []*fd.FD     `json:"-"`
}

// Taken acknowledges a batch. The successor owns the connections, except for those with
// the numbers in Refused, and the predecessor closes them. Before Taken, the predecessor
// owns the whole batch. Ending says that the successor ends: it has refused connections
// for that reason, and refuses all later ones.
type Taken struct {
	Refused []int `json:"refused,omitempty"`
	Ending  bool  `json:"ending,omitempty"`
}

func (Acknowledge) kind() kind  { return kindAcknowledge }
func (Acknowledged) kind() kind { return kindAcknowledged }
func (Hello) kind() kind        { return kindHello }
func (Descriptors) kind() kind  { return kindDescriptors }
func (Received) kind() kind     { return kindReceived }
func (Ready) kind() kind        { return kindReady }
func (Failed) kind() kind       { return kindFailed }
func (States) kind() kind       { return kindStates }
func (Go) kind() kind           { return kindGo }
func (Serving) kind() kind      { return kindServing }
func (Command) kind() kind      { return kindCommand }
func (LastGood) kind() kind     { return kindLastGood }
func (Committing) kind() kind   { return kindCommitting }
func (Committed) kind() kind    { return kindCommitted }
func (Connections) kind() kind  { return kindConnections }
func (Taken) kind() kind        { return kindTaken }
func (Draining) kind() kind     { return kindDraining }
func (Stopping) kind() kind     { return kindStopping }
func (Superseded) kind() kind   { return kindSuperseded }
func (Goodbye) kind() kind      { return kindGoodbye }
func (Third) kind() kind        { return kindThird }

func (moreReceives) kind() kind { return kindMoreReceives }
func (Forgotten) kind() kind    { return kindForgotten }
