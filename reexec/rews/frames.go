package rews

import "encoding/binary"

// frames follows one direction of a WebSocket and knows where its frames and messages end
// (RFC 6455, section 5, December 2011). It only looks: the bytes reach the library unchanged,
// also those of a bad frame, after which frames follows nothing.
type frames struct {
	masked     bool // frames of a client are masked, frames of a server are not
	compressed bool // RSV1 marks a compressed message (RFC 7692, section 6)

	head    [14]byte
	n       int    // known bytes of head
	left    uint64 // bytes of the payload that have not come
	open    bool   // the last frame of a message has not begun
	closing bool   // a close frame has begun
	bad     bool   // a frame was bad
}

// between reports whether a new message may follow: each message has come to its last byte,
// and no byte has come after it. It is false after a close frame and after a bad frame.
func (f *frames) between() bool {
	return f.n == 0 && f.left == 0 && !f.open && !f.closing && !f.bad
}

// closed reports whether a close frame has come to its last byte.
func (f *frames) closed() bool { return f.closing && f.n == 0 && f.left == 0 }

// need returns how many bytes may come without a byte of the frame after. It is at least 1.
func (f *frames) need() int {
	if f.left > 0 {
		return int(min(f.left, 1<<30))
	}
	return f.size() - f.n
}

// size returns the length of the header, 2 until that is known.
func (f *frames) size() int {
	if f.n < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// take follows bytes.
func (f *frames) take(p []byte) {
	for len(p) > 0 && !f.bad {
		if f.left > 0 {
			k := min(f.left, uint64(len(p)))
			f.left -= k
			p = p[k:]
			continue
		}
		k := copy(f.head[f.n:f.size()], p)
		f.n += k
		p = p[k:]
		if f.n >= 2 && f.n == f.size() {
			f.begin()
		}
	}
}

// The opcodes of control frames, and the bit that they share.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	controlBit = 8
	maxControl = 125
)

// begin follows a header.
func (f *frames) begin() {
	b0, b1 := f.head[0], f.head[1]
	f.n = 0
	short := false // a shorter form of the length exists
	switch l := b1 & 0x7f; l {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
		short = f.left < 126
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
		short = f.left < 1<<16
	default:
		f.left = uint64(l)
	}
	fin, op := b0&0x80 != 0, b0&0xf
	rsv1Allowed := f.compressed && (op == opText || op == opBinary)
	f.bad = short || f.left>>63 != 0 || b1&0x80 != 0 != f.masked || b0&0x30 != 0 || b0&0x40 != 0 && !rsv1Allowed
	switch op {
	case opContinuation:
		f.bad = f.bad || !f.open
		f.open = !fin
	case opText, opBinary:
		f.bad = f.bad || f.open
		f.open = !fin
	case opClose, opPing, opPong:
		f.bad = f.bad || !fin || f.left > maxControl
		f.closing = f.closing || op == opClose
	default:
		f.bad = true
	}
}
