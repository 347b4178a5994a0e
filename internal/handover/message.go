package handover

import (
	"encoding/json"
	"errors"
	"fmt"

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
)

// Hello is the first message in both directions.
type Hello struct {
	MinVersion int  `json:"min"`
	MaxVersion int  `json:"max"`
	PID        int  `json:"pid"`
	ParentPID  int  `json:"ppid"`
	Generation int  `json:"generation,omitempty"` // the predecessor's own; a successor learns its number here
	Trying     bool `json:"trying,omitempty"`     // the successor is only tried, before an exec in place
}

// Entry describes one descriptor of a batch.
type Entry struct {
	Name   string `json:"name"`
	Index  int    `json:"index"`  // among those of the same name
	Origin string `json:"origin"` // who keeps it while no process does

	Unstored bool `json:"unstored,omitempty"` // the fd store does not have it yet, though it should
}

// Origins of a descriptor.
const (
	OriginUnit   = "unit"   // a .socket unit; never put into the fd store
	OriginOwn    = "own"    // bound by a generation of the program; in the fd store
	OriginInbox  = "inbox"  // nobody: where the successor reads what others pass to it
	OriginOutlet = "outlet" // nobody: the other end of an inbox; Index is the number of its owner
)

// Descriptors is a batch. FDs and Entries run in parallel. Whoever receives it
// owns the FDs.
type Descriptors struct {
	Entries []Entry  `json:"entries"`
	Last    bool     `json:"last,omitempty"`
	FDs     []*fd.FD `json:"-"`
}

// Received acknowledges a batch.
type Received struct{}

// Ready says that the successor could serve now. Receives are the formats, by the
// name of the listener, in which it takes connections over; a program that is older
// than Connections has none, and so is never sent any.
//
// Acknowledges says that the successor answers Acknowledge.
type Ready struct {
	Receives     map[string][]string `json:"receives,omitempty"`
	Acknowledges bool                `json:"acknowledges,omitempty"`
}

// Failed says why the successor cannot serve. It exits next.
type Failed struct {
	Reason string `json:"reason"`
}

// States is saved state: sealed memfds by name, and the names under which the fd
// store has state. It comes before Go, several times if there is much. Whoever
// receives it owns the FDs.
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
// one. It comes before Committing: the successor answers as well, because the
// predecessor may be killed before it can. Whoever receives it owns the FDs.
type Command struct {
	FDs []*fd.FD `json:"-"`
}

// Committing says that the manager is about to be told. If the predecessor is
// gone after it, the successor is the main process.
type Committing struct{}

// Acknowledge follows Committing when the manager has been told, and asks the
// successor to show that the manager takes it for the main process.
type Acknowledge struct{}

// Acknowledged says that the successor has asked the manager for what it does for the
// main process alone.
type Acknowledged struct{}

// Committed says that the manager has been told.
type Committed struct{}

// Draining says how many generations are not gone yet, the predecessor that says it
// and those before it, and how far they are. It comes with the commit, when one of
// them ends, and once a second while something changes.
type Draining struct {
	Generations int `json:"generations"`
	Generation  int `json:"generation,omitempty"` // of the predecessor
	Held        int `json:"held,omitempty"`       // connections, or what else is in work
	Left        int `json:"left,omitempty"`       // seconds, until the last of them must have ended
	Overdue     int `json:"overdue,omitempty"`    // generations that go on after their drain deadline
}

// Stopping says that the successor was asked to end: its death is no crash.
type Stopping struct{}

// Superseded says that a third generation has taken over from the successor,
// whose death is no crash of the main process any more.
type Superseded struct{}

// Goodbye is the successor's last word when it is drained. FDs holds the pidfd of
// the process that has superseded it, the line to that one comes second.
type Goodbye struct {
	PID        int                 `json:"pid"`
	Superseded bool                `json:"superseded,omitempty"` // that process has been so in its turn
	Receives   map[string][]string `json:"receives,omitempty"`   // as it said in its Ready
	FDs        []*fd.FD            `json:"-"`
}

// moreReceives is a part of the Receives of the next Ready or Goodbye, where they do not
// fit into one frame. Receive puts them together.
type moreReceives struct {
	Receives map[string][]string `json:"receives"`
}

// Forgotten says which of the files that the successor was given the predecessor has
// forgotten since. It comes before Go and before Committing, where there are any.
type Forgotten struct {
	Entries []Entry `json:"entries"`
}

// Connection describes an established connection.
type Connection struct {
	Name   string `json:"name"`           // of the listener that accepted it
	Format string `json:"format"`         // of Data, by the program's own words
	Data   []byte `json:"data,omitempty"` // what the program has to know to go on with it
}

// Connections is a batch of them, after the commit. FDs run in parallel, or are none
// where the process had no room for all of them: the sender still has the connections
// then, and keeps those that are refused. Whoever receives it owns the FDs.
type Connections struct {
	Connections []Connection `json:"connections"`
	FDs         []*fd.FD     `json:"-"`
}

// Taken acknowledges a batch: the connections are the successor's, and closed by
// the predecessor, but for those with the numbers in Refused. Until it comes, the
// predecessor has them all. Ending says that it has refused some because it ends, and
// will refuse all.
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
func (Committing) kind() kind   { return kindCommitting }
func (Committed) kind() kind    { return kindCommitted }
func (Connections) kind() kind  { return kindConnections }
func (Taken) kind() kind        { return kindTaken }
func (Draining) kind() kind     { return kindDraining }
func (Stopping) kind() kind     { return kindStopping }
func (Superseded) kind() kind   { return kindSuperseded }
func (Goodbye) kind() kind      { return kindGoodbye }

func (moreReceives) kind() kind { return kindMoreReceives }
func (Forgotten) kind() kind    { return kindForgotten }

const (
	headerSize = 4
	framing    = 1

	// maxFrame leaves room below the default SO_SNDBUF of an AF_UNIX socket,
	// 212992 bytes (net.core.wmem_default), which bounds one message.
	maxFrame = 128 << 10
)

// encode renders m. The descriptors of m are not part of it.
func encode(m Message) ([]byte, error) {
	body, err := json.Marshal(bounded(m))
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	frame := append([]byte{'C', 'O', framing, byte(m.kind())}, body...)
	if len(frame) > maxFrame {
		return nil, fmt.Errorf("encode %T: %d bytes are more than a frame's %d", m, len(frame), maxFrame)
	}
	return frame, nil
}

// decode parses a frame that came with fds, which the message owns on success
// and the caller on error. The message is nil if this version may skip it.
func decode(frame []byte, fds []*fd.FD) (Message, error) {
	if len(frame) < headerSize || frame[0] != 'C' || frame[1] != 'O' {
		return nil, fmt.Errorf("%w: not a frame of this library (%d bytes)", ErrProtocol, len(frame))
	}
	if frame[2] != framing {
		return nil, fmt.Errorf("%w: framing %d, this program knows %d", ErrProtocol, frame[2], framing)
	}
	m, err := decodeBody(kind(frame[3]), frame[headerSize:], fds)
	if err != nil {
		return nil, fmt.Errorf("%w: kind %d: %w", ErrProtocol, frame[3], err)
	}
	return m, nil
}

func decodeBody(k kind, body []byte, fds []*fd.FD) (Message, error) {
	switch k {
	case kindDescriptors:
		m, err := parse[Descriptors](body, nil)
		if err != nil {
			return nil, err
		}
		return withFDs(m.(Descriptors), fds)
	case kindStates:
		m, err := parse[States](body, nil)
		if err != nil {
			return nil, err
		}
		s := m.(States)
		if len(s.Names) != len(fds) {
			return nil, fmt.Errorf("%d descriptors for %d names", len(fds), len(s.Names))
		}
		s.FDs = fds
		return s, nil
	case kindConnections:
		m, err := parse[Connections](body, nil)
		if err != nil {
			return nil, err
		}
		c := m.(Connections)
		if len(fds) > 0 && len(c.Connections) != len(fds) {
			return nil, fmt.Errorf("%d descriptors for %d connections", len(fds), len(c.Connections))
		}
		c.FDs = fds
		return c, nil
	case kindCommand:
		return Command{fds}, nil
	case kindGoodbye:
		m, err := parse[Goodbye](body, nil)
		if err != nil {
			return nil, err
		}
		g := m.(Goodbye)
		g.FDs = fds
		return g, nil
	}
	if parser, ok := parsers[k]; ok {
		return parser(body, fds)
	}
	if k >= kindOptional {
		fd.CloseAll(fds)
		return nil, nil
	}
	return nil, errors.New("unknown")
}

// parsers holds the kinds that carry no descriptors.
var parsers = map[kind]func([]byte, []*fd.FD) (Message, error){
	kindHello:        parse[Hello],
	kindReceived:     parse[Received],
	kindReady:        parse[Ready],
	kindFailed:       parse[Failed],
	kindGo:           parse[Go],
	kindServing:      parse[Serving],
	kindCommitting:   parse[Committing],
	kindCommitted:    parse[Committed],
	kindStopping:     parse[Stopping],
	kindSuperseded:   parse[Superseded],
	kindTaken:        parse[Taken],
	kindDraining:     parse[Draining],
	kindAcknowledge:  parse[Acknowledge],
	kindAcknowledged: parse[Acknowledged],
	kindMoreReceives: parse[moreReceives],
	kindForgotten:    parse[Forgotten],
}

func parse[M Message](body []byte, fds []*fd.FD) (Message, error) {
	if len(fds) > 0 {
		return nil, fmt.Errorf("came with %d descriptors", len(fds))
	}
	var m M
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	return m, nil
}

func withFDs(d Descriptors, fds []*fd.FD) (Message, error) {
	if len(d.Entries) != len(fds) {
		return nil, fmt.Errorf("%d descriptors for %d names", len(fds), len(d.Entries))
	}
	d.FDs = fds
	return d, nil
}
