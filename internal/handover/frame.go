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
	case kindLastGood:
		m, err := parse[LastGood](body, nil)
		if err != nil {
			return nil, err
		}
		g := m.(LastGood)
		g.FDs = fds
		return g, nil
	case kindGoodbye:
		m, err := parse[Goodbye](body, nil)
		if err != nil {
			return nil, err
		}
		g := m.(Goodbye)
		g.FDs = fds
		return g, nil
	case kindThird:
		m, err := parse[Third](body, nil)
		if err != nil {
			return nil, err
		}
		third := m.(Third)
		third.FDs = fds
		return third, nil
	}
	if parser := parserOf(k); parser != nil {
		return parser(body, fds)
	}
	if k >= kindOptional {
		fd.CloseAll(fds)
		return nil, nil
	}
	return nil, errors.New("unknown")
}

// parserOf returns the parser of a kind that carries no descriptors, nil for another kind.
func parserOf(k kind) func([]byte, []*fd.FD) (Message, error) {
	switch k {
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

func withFDs(d Descriptors, fds []*fd.FD) (Message, error) {
	if len(d.Entries) != len(fds) {
		return nil, fmt.Errorf("%d descriptors for %d names", len(fds), len(d.Entries))
	}
	d.FDs = fds
	return d, nil
}
