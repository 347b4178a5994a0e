package remqtt

import (
	"bytes"
	"encoding/binary"
)

// The types of packets.
const (
	typeConnect     = 1
	typeConnack     = 2
	typePublish     = 3
	typePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	typeSuback      = 9
	typeUnsubscribe = 10
	typeUnsuback    = 11
	typePingreq     = 12
	typePingresp    = 13
	typeDisconnect  = 14
)

// A packet is a whole control packet of MQTT 3.1, 3.1.1 or 5.
type packet []byte

// size returns the length of the packet that b begins with. It returns 0 if b is too short to
// tell, and -1 if b is no packet.
func size(b []byte) int {
	n, shift := 0, 0
	for i := 1; i < len(b) && i < 5; i++ {
		n |= int(b[i]&0x7f) << shift
		if b[i]&0x80 == 0 {
			return 1 + i + n
		}
		shift += 7
	}
	if len(b) >= 5 {
		return -1
	}
	return 0
}

// build returns a packet of parts.
func build(first byte, parts ...[]byte) packet {
	body := bytes.Join(parts, nil)
	p := append(make(packet, 0, len(body)+5), first)
	p = appendVarint(p, len(body))
	return append(p, body...)
}

// answer returns a packet that has an identifier only.
func answer(kind byte, id uint16) packet {
	first := kind << 4
	if kind == typePubrel {
		first |= 2
	}
	return packet{first, 2, byte(id >> 8), byte(id)}
}

func appendVarint(b []byte, n int) []byte {
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// takeVarint returns the number that b begins with, and the rest of b.
func takeVarint(b []byte) (n int, rest []byte, ok bool) {
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

func appendString[T string | []byte](b []byte, s T) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// takeString returns the string that b begins with, and the rest of b.
func takeString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, nil, false
	}
	return b[2:n], b[n:], true
}

func (p packet) kind() byte { return p[0] >> 4 }

func (p packet) qos() byte { return p[0] >> 1 & 3 }

func (p packet) retained() bool { return p[0]&1 != 0 }

// body returns the packet without its type and length.
func (p packet) body() []byte {
	i := 1
	for i < len(p) && i < 4 && p[i]&0x80 != 0 {
		i++
	}
	return p[min(i+1, len(p)):]
}

// at returns the index of the identifier. p may end behind it.
func (p packet) at() (i int, ok bool) {
	body := p.body()
	i = len(p) - len(body)
	if p.kind() == typePublish {
		if p.qos() == 0 || len(body) < 2 {
			return 0, false
		}
		i += 2 + int(binary.BigEndian.Uint16(body))
	}
	return i, i+2 <= len(p)
}

// id returns the identifier, 0 if there is none.
func (p packet) id() uint16 {
	i, ok := p.at()
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint16(p[i:])
}

// withID returns a copy of p with another identifier, or p if it has that identifier.
func (p packet) withID(id uint16) packet {
	i, ok := p.at()
	if !ok || binary.BigEndian.Uint16(p[i:]) == id {
		return p
	}
	p = bytes.Clone(p)
	binary.BigEndian.PutUint16(p[i:], id)
	return p
}

// topic returns the topic of a PUBLISH packet.
func (p packet) topic() string {
	topic, _, _ := takeString(p.body())
	return string(topic)
}

// refuses reports whether p, an answer of MQTT 5, has a reason code of a failure.
func (p packet) refuses() bool {
	body := p.body()
	return len(body) > 2 && body[2] >= 0x80
}

// A property of MQTT 5, with its identifier.
type property []byte

// The properties that this package knows.
const (
	propExpiry         = 0x11 // Session Expiry Interval
	propAssignedID     = 0x12
	propAuthentication = 0x15
	propReason         = 0x1f
	propReceiveMaximum = 0x21
	propAliasMaximum   = 0x22
	propUser           = 0x26
)

// takeProperties returns the properties that b begins with, and the rest of b.
func takeProperties(b []byte) (all []property, rest []byte, ok bool) {
	n, b, ok := takeVarint(b)
	if !ok || n > len(b) {
		return nil, nil, false
	}
	rest, b = b[n:], b[:n]
	for len(b) > 0 {
		k := propertySize(b)
		if k == 0 || k > len(b) {
			return nil, nil, false
		}
		all, b = append(all, property(b[:k])), b[k:]
	}
	return all, rest, true
}

// propertySize returns the length of the property that b begins with, 0 if it is unknown.
func propertySize(b []byte) int {
	text := func(b []byte) int {
		s, _, ok := takeString(b)
		if !ok {
			return -1 << 20
		}
		return 2 + len(s)
	}
	switch b[0] {
	case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
		return 2
	case 0x13, 0x21, 0x22, 0x23:
		return 3
	case 0x02, 0x11, 0x18, 0x27:
		return 5
	case 0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f:
		return max(0, 1+text(b[1:]))
	case 0x26:
		n := text(b[1:])
		if n < 0 {
			return 0
		}
		return max(0, 1+n+text(b[1+n:]))
	case 0x0b:
		if _, rest, ok := takeVarint(b[1:]); ok {
			return len(b) - len(rest)
		}
	}
	return 0
}

// find returns the value of a property, nil if it is not there.
func find(all []property, id byte) []byte {
	for _, p := range all {
		if p[0] == id {
			return p[1:]
		}
	}
	return nil
}

// without returns all without the properties of some identifiers.
func without(all []property, ids ...byte) (rest []property) {
	for _, p := range all {
		if bytes.IndexByte(ids, p[0]) < 0 {
			rest = append(rest, p)
		}
	}
	return rest
}

func appendProperties(b []byte, all []property) []byte {
	n := 0
	for _, p := range all {
		n += len(p)
	}
	b = appendVarint(b, n)
	for _, p := range all {
		b = append(b, p...)
	}
	return b
}
