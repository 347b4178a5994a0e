package rews

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A peer is one end of a WebSocket in the manner of the libraries: it reads by a bufio.Reader,
// answers pings while it reads, and writes one message at a time.
type peer struct {
	net.Conn
	in     *bufio.Reader
	masked bool // this end is a client
	rand   *rand.Rand
	pong   func(payload string)

	wmu  sync.Mutex
	done bool // this end writes no more
}

// appendFrame appends a frame in the shortest form.
func appendFrame(b []byte, first byte, payload []byte, masked bool) []byte {
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, first, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, first, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, mask|127), uint64(n))
	}
	if !masked {
		return append(b, payload...)
	}
	key := [4]byte{1, 2, 3, byte(len(payload))}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// readFrame reads a frame of any form.
func readFrame(r io.Reader) (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	for long, size := range map[uint64]int{126: 2, 127: 8} {
		if uint64(head[1]&0x7f) == long {
			var length [8]byte
			if _, err := io.ReadFull(r, length[8-size:]); err != nil {
				return 0, nil, err
			}
			n = binary.BigEndian.Uint64(length[:])
		}
	}
	var key [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, key[:]); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return head[0], payload, err
}

// A closeError is a close frame.
type closeError struct{ code int }

func (e closeError) Error() string { return fmt.Sprintf("close frame %d", e.code) }

// read returns the next message.
func (p *peer) read() (string, error) {
	var message []byte
	for {
		first, payload, err := readFrame(p.in)
		if err != nil {
			return "", err
		}
		switch first & 0xf {
		case opPing:
			if err := p.frame(0x80|opPong, payload); err != nil {
				return "", err
			}
		case opPong:
			if p.pong != nil {
				p.pong(string(payload))
			}
		case opClose:
			code := 0
			if len(payload) >= 2 {
				code = int(binary.BigEndian.Uint16(payload))
			}
			_ = p.frame(0x80|opClose, payload) // the other end may have gone
			return "", closeError{code}
		default:
			message = append(message, payload...)
			if first&0x80 != 0 {
				return string(message), nil
			}
		}
	}
}

// frame writes a frame between two others.
func (p *peer) frame(first byte, payload []byte) error {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	if p.done {
		return nil
	}
	p.done = p.masked && first&0xf == opClose
	return p.put(appendFrame(nil, first, payload, p.masked))
}

// closeWrite closes one direction.
func (p *peer) closeWrite() {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.done = true
	_ = p.Conn.(*net.TCPConn).CloseWrite() // a failure shows at the other end
}

// put writes bytes, in pieces if this end is a client.
func (p *peer) put(b []byte) error {
	for len(b) > 0 {
		n := len(b)
		if p.masked && p.rand.IntN(3) == 0 {
			n = 1 + p.rand.IntN(n)
		}
		if _, err := p.Conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// write writes a message in random fragments. begun reports whether a part of it was written.
// between is called between two fragments.
func (p *peer) write(message string, between func()) (begun bool, err error) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	first := byte(opText)
	for rest := []byte(message); ; {
		n := len(rest)
		if p.rand.IntN(2) == 0 {
			n = p.rand.IntN(len(rest) + 1)
		}
		last := n == len(rest) && p.rand.IntN(4) > 0
		if last {
			first |= 0x80
		}
		if err := p.put(appendFrame(nil, first, rest[:n], p.masked)); err != nil {
			return begun, err
		}
		if last {
			return true, nil
		}
		begun, first, rest = true, opContinuation, rest[n:]
		between()
	}
}

const webSocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// dial opens a WebSocket of a client.
func dial(t testing.TB, address, path string, header ...string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return handshake(t, c, path, header...)
}

func handshake(t testing.TB, c net.Conn, path string, header ...string) *peer {
	t.Helper()
	if !strings.Contains(strings.Join(header, ""), "Upgrade: ") {
		header = append(header, "Upgrade: websocket\r\n")
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
		path, webSocketKey, strings.Join(header, ""))
	p := &peer{Conn: c, in: bufio.NewReader(c), masked: true, rand: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	r, err := http.ReadResponse(p.in, nil)
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", r, err)
	}
	return p
}

// accept answers a handshake, by WriteHeader like coder/websocket or on the connection like
// gorilla/websocket if the query is raw.
func accept(w http.ResponseWriter, r *http.Request) (*peer, error) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	h := w.Header()
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	for _, name := range []string{"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
		if v := r.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	raw := r.URL.RawQuery == "raw"
	if !raw {
		w.WriteHeader(http.StatusSwitchingProtocols)
	}
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: c, in: rw.Reader, rand: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	if !raw {
		early, _ := rw.Reader.Peek(rw.Reader.Buffered())
		rw.Reader.Reset(io.MultiReader(bytes.NewReader(early), c))
		return p, nil
	}
	var answer bytes.Buffer
	answer.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(&answer)
	answer.WriteString("\r\n")
	_, err = c.Write(answer.Bytes())
	return p, err
}
