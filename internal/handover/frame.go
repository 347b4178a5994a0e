package handover

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
)

// This file turns messages into frames, and frames into messages.

const (
	headerSize = 4
	framing    = 1

	// maxFrame leaves room below the default SO_SNDBUF of an AF_UNIX socket,
	// 212992 bytes (net.core.wmem_default), which bounds one message.
	maxFrame = 128 << 10
)

// encode returns the frame of m. The frame does not contain the descriptors of m.
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

// decode parses a frame that was received with fds. The message owns fds on success, the
// caller on error. The message is nil if its kind is unknown and may be skipped.
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
	if parser := parserOf(k); parser != nil {
		return parser(body, fds)
	}
	if k >= kindOptional {
		fd.CloseAll(fds)
		return nil, nil
	}
	return nil, errors.New("unknown")
}

// parserOf returns the parser of a kind, nil for an unknown one.
func parserOf(k kind) func([]byte, []*fd.FD) (Message, error) {
	switch k {
	case kindDescriptors:
		return carrying[Descriptors]
	case kindStates:
		return carrying[States]
	case kindConnections:
		return carrying[Connections]
	case kindCommand:
		return func(_ []byte, fds []*fd.FD) (Message, error) { return Command{fds}, nil }
	case kindLastGood:
		return carrying[LastGood]
	case kindGoodbye:
		return carrying[Goodbye]
	case kindThird:
		return carrying[Third]
	case kindHello:
		return parse[Hello]
	case kindReceived:
		return parse[Received]
	case kindReady:
		return parse[Ready]
	case kindFailed:
		return parse[Failed]
	case kindGo:
		return parse[Go]
	case kindServing:
		return parse[Serving]
	case kindCommitting:
		return parse[Committing]
	case kindCommitted:
		return parse[Committed]
	case kindStopping:
		return parse[Stopping]
	case kindSuperseded:
		return parse[Superseded]
	case kindTaken:
		return parse[Taken]
	case kindDraining:
		return parse[Draining]
	case kindAcknowledge:
		return parse[Acknowledge]
	case kindAcknowledged:
		return parse[Acknowledged]
	case kindMoreReceives:
		return parse[moreReceives]
	case kindForgotten:
		return parse[Forgotten]
	}
	return nil
}

// parse parses a message without descriptors.
func parse[M Message](body []byte, fds []*fd.FD) (Message, error) {
	if len(fds) > 0 {
		return nil, fmt.Errorf("came with %d descriptors", len(fds))
	}
	var m M
	if string(body) == empty {
		return m, nil
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	return m, nil
}

// empty is the body of a message without fields. Package json is not asked for it, because it
// examines each type of message first.
const empty = "{}"

// A carrier is a message with descriptors. with returns it with fds, or an error if their number
// is wrong.
type carrier interface {
	Message
	with(fds []*fd.FD) (Message, error)
}

// carrying parses a message with descriptors.
func carrying[M carrier](body []byte, fds []*fd.FD) (Message, error) {
	m, err := parse[M](body, nil)
	if err != nil {
		return nil, err
	}
	return m.(M).with(fds)
}

func (m LastGood) with(fds []*fd.FD) (Message, error) { m.FDs = fds; return m, nil }
func (m Goodbye) with(fds []*fd.FD) (Message, error)  { m.FDs = fds; return m, nil }
func (m Third) with(fds []*fd.FD) (Message, error)    { m.FDs = fds; return m, nil }

func (m Descriptors) with(fds []*fd.FD) (Message, error) {
	if len(m.Entries) != len(fds) {
		return nil, fmt.Errorf("%d descriptors for %d names", len(fds), len(m.Entries))
	}
	m.FDs = fds
	return m, nil
}

func (m States) with(fds []*fd.FD) (Message, error) {
	if len(m.Names) != len(fds) {
		return nil, fmt.Errorf("%d descriptors for %d names", len(fds), len(m.Names))
	}
	m.FDs = fds
	return m, nil
}

func (m Connections) with(fds []*fd.FD) (Message, error) {
	if len(fds) > 0 && len(m.Connections) != len(fds) {
		return nil, fmt.Errorf("%d descriptors for %d connections", len(fds), len(m.Connections))
	}
	m.FDs = fds
	return m, nil
}
