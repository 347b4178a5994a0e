// Package ws is as much of WebSocket (RFC 6455, December 2011) as an echo needs:
// unfragmented messages of at most [MaxMessage] bytes, and the close.
package ws

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// MaxMessage is the maximum length of a message in bytes.
const MaxMessage = 1 << 15

// An Opcode is the type of a frame.
type Opcode byte

// The opcodes that are used here.
const (
	Text  Opcode = 1
	Close Opcode = 8
)

// Accept is the Sec-WebSocket-Accept for a Sec-WebSocket-Key.
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Write writes a frame in one piece, masked, as a client must, or not, as a server.
func Write(w io.Writer, op Opcode, message []byte, masked bool) error {
	frame := []byte{0x80 | byte(op), 0}
	if n := len(message); n < 126 {
		frame[1] = byte(n)
	} else {
		frame[1] = 126
		frame = binary.BigEndian.AppendUint16(frame, uint16(n))
	}
	if masked {
		frame[1] |= 0x80
		var key [4]byte
		_, _ = rand.Read(key[:]) // never fails
		frame = append(frame, key[:]...)
		begin := len(frame)
		frame = append(frame, message...)
		mask(key, frame[begin:])
	} else {
		frame = append(frame, message...)
	}
	_, err := w.Write(frame)
	return err
}

// Read reads a frame, masked or not. io.EOF means that the connection has ended
// before it.
func Read(br *bufio.Reader) (Opcode, []byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1] & 0x7f)
	var key [4]byte
	var err error
	if n == 126 {
		var long [2]byte
		_, err = io.ReadFull(br, long[:])
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	if err == nil && head[1]&0x80 != 0 {
		_, err = io.ReadFull(br, key[:])
	}
	if err == nil && (head[0]&0xf0 != 0x80 || n > MaxMessage) { // 127 announces more yet, and fails below
		err = fmt.Errorf("ws: frame % x of %d bytes", head, n)
	}
	message := make([]byte, n)
	if err == nil {
		_, err = io.ReadFull(br, message)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	mask(key, message)
	return Opcode(head[0] & 0x0f), message, err
}

func mask(key [4]byte, b []byte) {
	for i := range b {
		b[i] ^= key[i%4]
	}
}

// Echo upgrades the connection of a request and sends each message back, until the
// client closes. It calls hold before it hijacks the connection, and release when it is
// done. The error is the cause of any other end.
func Echo(w http.ResponseWriter, r *http.Request, hold func() (release func())) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "a WebSocket is served here", http.StatusUpgradeRequired)
		return errors.New("ws: no WebSocket was asked for")
	}
	defer hold()()
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		Accept(r.Header.Get("Sec-WebSocket-Key")))
	for err == nil {
		var op Opcode
		var message []byte
		if op, message, err = Read(rw.Reader); err != nil {
			break
		}
		err = Write(c, op, message, false)
		if op == Close {
			return err
		}
	}
	return err
}
