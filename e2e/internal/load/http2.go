package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

// This is the part of HTTP/2 (RFC 9113, June 2022) for a client that sends small requests
// and reports everything that happens to them. It does without golang.org/x/net/http2, which
// the module would then require of every program that imports it.

// maxFrame is the longest payload of a frame that a server may send unasked.
const maxFrame = 1 << 14

// window is the flow-control window of the client in bytes.
const window = 1 << 30

type frameType byte

const (
	frameData         frameType = 0
	frameHeaders      frameType = 1
	frameReset        frameType = 3
	frameSettings     frameType = 4
	framePing         frameType = 6
	frameGoAway       frameType = 7
	frameWindowUpdate frameType = 8
	frameContinuation frameType = 9
)

const (
	flagAck        = 0x01 // of settings and ping
	flagEndStream  = 0x01
	flagEndHeaders = 0x04
	flagPadded     = 0x08
	flagPriority   = 0x20
)

// refusedStream is the code of a stream that the server has not looked at.
const refusedStream = 7

// A frame is one frame as it came.
type frame struct {
	kind    frameType
	flags   byte
	stream  uint32
	payload []byte
}

func (f frame) has(flag byte) bool { return f.flags&flag != 0 }

func readFrame(r io.Reader) (f frame, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	f = frame{kind: frameType(head[3]), flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1)}
	if size > maxFrame {
		return f, fmt.Errorf("a frame of %d bytes", size)
	}
	f.payload = make([]byte, size)
	_, err = io.ReadFull(r, f.payload)
	return f, err
}

func appendFrame(b []byte, kind frameType, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), byte(kind), flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// preface returns the first bytes of a client. They disable the dynamic header table, so
// that a status is always one byte or plain, and server push.
func preface() []byte {
	const tableSize, enablePush, initialWindow = 1, 2, 4
	var settings []byte
	for _, s := range []struct {
		id    uint16
		value uint32
	}{{tableSize, 0}, {enablePush, 0}, {initialWindow, window}} {
		settings = binary.BigEndian.AppendUint16(settings, s.id)
		settings = binary.BigEndian.AppendUint32(settings, s.value)
	}
	b := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	b = appendFrame(b, frameSettings, 0, 0, settings)
	return appendWindow(b, window)
}

// appendWindow lets the server send n more bytes.
func appendWindow(b []byte, n int) []byte {
	return appendFrame(b, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

// appendRequest appends q as stream id.
func (c *class) appendRequest(b []byte, id uint32, q *request) []byte {
	// By their indexes in the static table of RFC 7541, May 2015, nothing compressed.
	var h bytes.Buffer
	literal := func(index string, value string) {
		h.WriteString(index)
		h.WriteByte(byte(len(value)))
		h.WriteString(value)
	}
	literal("\x02", c.Method) // :method
	h.WriteByte(c.scheme())
	literal("\x04", c.path(q)) // :path
	literal("\x01", c.addr)    // :authority
	literal("\x0f\x0d", strconv.Itoa(len(c.Body)))
	b = appendFrame(b, frameHeaders, flagEndHeaders, id, h.Bytes())
	return appendFrame(b, frameData, flagEndStream, id, c.Body)
}

// scheme returns the index of :scheme http or https.
func (c *class) scheme() byte {
	if c.tls == nil {
		return 0x86
	}
	return 0x87
}

// unpad returns the payload of a DATA or HEADERS frame.
func (f frame) unpad() ([]byte, error) {
	b, padding, skip := f.payload, 0, 0
	if f.has(flagPadded) && len(b) > 0 {
		padding, b = int(b[0]), b[1:]
	}
	if f.kind == frameHeaders && f.has(flagPriority) {
		skip = 5
	}
	if skip+padding > len(b) {
		return nil, fmt.Errorf("a frame of %d bytes with %d of padding", len(f.payload), padding)
	}
	return b[skip : len(b)-padding], nil
}

// status reads the status that a block of header fields begins with.
func status(block []byte) (int, error) {
	for len(block) > 0 && block[0]&0xe0 == 0x20 { // the size of the table
		block = block[1:]
	}
	known := map[byte]int{0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
	if len(block) > 0 && known[block[0]] != 0 {
		return known[block[0]], nil
	}
	// As text: one of three forms, by the name of one of the entries from 8 to 14, and
	// three bytes that are not compressed.
	if len(block) >= 5 && bytes.IndexByte([]byte{0x00, 0x10, 0x40}, block[0]&0xf0) >= 0 && block[0]&0x0f >= 8 && block[1] == 3 {
		return strconv.Atoi(string(block[2:5]))
	}
	return 0, fmt.Errorf("no status in % x", block[:min(8, len(block))])
}
