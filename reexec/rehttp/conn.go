package rehttp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// format names the encoding of the data of a moved connection: the data says whether the last
// request was a POST, and is empty if there was no request.
const format = "http/1.1"

const (
	dataIdle = "idle"
	dataPost = "idle POST"
)

// socket is a *net.TCPConn or *net.UnixConn, as the listener has returned it.
type socket interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
}

// tcpConn and unixConn have the methods of the accepted connection, so that net/http finds
// ReadFrom, CloseWrite and the others. Read, Close and the deadlines are those of conn,
// because conn is embedded less deeply than the connection of package net.
type (
	tcpConn struct {
		*net.TCPConn
		conn
	}
	unixConn struct {
		*net.UnixConn
		conn
	}
)

var _, _ net.Conn = (*tcpConn)(nil), (*unixConn)(nil)

// conn knows where the requests end that net/http reads from a socket, and moves it to
// the successor when net/http wants to read the next one.
//
// That is exact: net/http reports StateIdle when it has read a request to its end and
// written the answer. If net/http has begun as many requests as have ended in the bytes that
// were read, and no byte was read after the last of them, its buffer is empty, and every
// other byte of the client is still in the kernel.
type conn struct {
	client
	socket socket
	name   string // of the listener, empty if there is none

	// Of the goroutine of net/http that reads. Its hooks run on it, or wait for it.
	in      framing
	begun   int // requests that net/http has begun
	skip    int // line ends to ignore before the first request
	pending pendingRead

	limited bool // the bytes that are read now end at the end of a request

	records atomic.Pointer[records] // nil until TLS reads the bytes of the socket

	plain atomic.Bool // net/http reads the bytes of the socket, in HTTP/1
	stays atomic.Bool // for good, because it was refused or a move would not be exact
	timed atomic.Bool // deadline is not zero
	woken atomic.Bool // the socket has one that is over

	lost atomic.Bool // in is

	lingering atomic.Bool // Close was called, and linger closes

	arrived atomic.Bool // a request was read that net/http has not begun

	over atomic.Bool  // net/http may have bytes behind the request that it answers
	rest atomic.Int64 // bytes of its body that were not read; -1 if that is not known

	behind atomic.Int64 // bytes that were read with the header, if in is lost; -1 if that is not known

	mu       sync.Mutex
	deadline time.Time   // for reading, as the server wants it
	waiting  bool        // for the next request, and nothing of it is here
	withdraw func() bool // from a move that was offered, see protocol.Engine.Offer
	moving   bool
	ended    bool // moved, closed, or shut for reading
	moved    bool
	arrival  arrival
}

// asClient is for lookup.
func (c *conn) asClient() *client { return &c.client }

// NetConn returns the *net.TCPConn or *net.UnixConn. Only a program that has hijacked the
// connection may read it there, or set its deadlines.
func (c *conn) NetConn() net.Conn {
	if a, ok := c.socket.(interface{ NetConn() net.Conn }); ok {
		return a.NetConn()
	}
	return c.socket
}

// RemoteAddr returns the address of the client. It is never nil, see package accepted.
func (c *conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

func (c *conn) canMove() bool {
	if c.stays.Load() || !c.t.u.CanMove(c.name, format) {
		return false
	}
	if _, ok := c.t.couldMove.Load(c.name); !ok {
		c.t.couldMove.Store(c.name, nil)
	}
	return true
}

// begin notes that net/http has begun a request.
func (c *conn) begin() {
	c.begun++
	c.arrived.Store(false)
	if c.begun == 1 {
		c.settle()
	}
	if !c.plain.Load() {
		return
	}
	over, rest := false, int64(0)
	switch {
	case c.in.lost(): // the handler knows the rest
		over = c.over.Load()
	case c.in.requests >= c.begun:
		over = c.in.requests > c.begun || !c.in.between()
	case c.in.step == bodyBytes:
		rest = c.in.left
	default:
		rest = -1
	}
	if over != c.over.Load() {
		c.over.Store(over)
	}
	if rest != c.rest.Load() {
		c.rest.Store(rest)
	}
}

// Read moves the connection if it can, and returns io.EOF then.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.read(p)
		if c.lingering.Load() {
			return 0, net.ErrClosed // net/http has closed it, and serves no request any more
		}
		if n > 0 || err == nil || !c.wasWoken(err) {
			return n, err
		}
	}
}

func (c *conn) read(p []byte) (int, error) {
	switch {
	case !c.plain.Load():
		n, err := c.socket.Read(p)
		c.recordsRead().follow(p[:n])
		return n, err
	case closed(c.t.u.Draining()):
		c.limited = true
		return c.readLimited(p)
	}
	c.limited = false
	return c.take(p)
}

// readLimited reads while this generation drains. It moves the connection if it can. If not,
// it gives net/http no byte behind the end of the request: then the kernel knows the bytes
// behind it, and the connection can move after the request.
func (c *conn) readLimited(p []byte) (int, error) {
	if c.between() {
		if !c.stays.Load() && c.canMove() && c.move() {
			return 0, io.EOF
		}
		return c.take(p) // tryRead has the limit
	}
	n, err := c.allowed(p)
	if err != nil {
		return 0, err
	}
	return c.take(p[:n])
}

// allowed returns how much of p may be read at most.
func (c *conn) allowed(p []byte) (int, error) {
	switch rest := c.rest.Load(); {
	case !c.in.lost() && c.in.left > 0:
		return int(min(c.in.left, int64(len(p)))), nil
	case !c.in.lost():
		return c.look(p, c.in.between())
	case c.idle.Load():
		return c.look(p, false)
	case rest < 0:
		return len(p), nil
	case rest > 0:
		return int(min(rest, int64(len(p)))), nil
	default:
		return c.look(p, true)
	}
}

// take reads and follows the framing of the bytes.
func (c *conn) take(p []byte) (int, error) {
	for {
		n, err := c.receive(p)
		if c.skip > 0 && n > 0 {
			n = c.skipLineEnds(p[:n])
			if n == 0 && err == nil {
				continue
			}
		}
		if n > 0 && c.begun == 0 {
			c.firstBytes()
		}
		c.follow(p[:n])
		c.arrived.Store(n > 0 && c.idle.Load() && c.hasRequest())
		return n, err
	}
}

// hasRequest reports whether the header of a request was read that net/http has not begun.
func (c *conn) hasRequest() bool {
	return !c.in.lost() && (c.in.requests > c.begun || c.in.requests == c.begun && c.in.step >= bodyBytes)
}

func (c *conn) follow(p []byte) {
	if !c.in.lost() {
		c.in.whole(p)
		if c.in.lost() {
			c.stays.Store(true)
			c.lost.Store(true)
			c.plain.Store(!c.in.preface)
			c.over.Store(!c.idle.Load())
		}
	}
	rest := c.rest.Load()
	switch {
	case len(p) == 0:
	case c.in.lost() && c.idle.Load():
		c.behind.Store(int64(len(p) - headerEnd(p)))
	case c.in.lost() && rest <= 0:
		c.over.Store(true)
	case rest > 0:
		c.rest.Store(max(0, rest-int64(len(p))))
	case rest < 0 && c.in.requests >= c.begun:
		c.rest.Store(0)
	}
}

// between reports whether net/http has answered every request and waits for the
// next, of which it has nothing.
func (c *conn) between() bool {
	return c.in.between() && c.idle.Load() && c.begun == c.in.requests
}

// look waits until there is something to read and returns how much of it may be read
// without a byte of the request after. It uses p.
//
// net/http reads behind a request that it answers, to see its client leave. Then
// there may be an end to see, and nothing to take.
func (c *conn) look(p []byte, behind bool) (n int, err error) {
	rc, err := c.socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	n = len(p)
	err = rc.Read(func(raw uintptr) bool {
		k, ok, err := fd.Peek(raw, p)
		switch {
		case err != nil || ok && k == 0:
			return true // which the read will tell
		case !ok || behind:
			return false
		}
		n = c.upToEnd(p[:k])
		return true
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	return n, nil
}

// upToEnd returns how many bytes of p there are up to the end of a request.
func (c *conn) upToEnd(p []byte) int {
	lead := 0 // line ends that skipLineEnds drops
	for lead < min(c.skip, len(p)) && (p[lead] == '\r' || p[lead] == '\n') {
		lead++
	}
	next := c.in
	n := lead + next.upToEnd(p[lead:])
	if next.lost() && c.idle.Load() {
		return headerEnd(p) // net/http takes headers that framing does not
	}
	return n
}

// move gives the connection to the successor, or to the next process.
func (c *conn) move() bool {
	if !c.beginMove() {
		return false
	}
	err := c.t.u.Move(c.t.life, c.name, c.socket, format, c.data())
	c.endMove(err)
	return err == nil
}

func (c *conn) beginMove() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moving = !c.ended
	return c.moving
}

func (c *conn) endMove(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moving, c.withdraw = false, nil
	c.moved = err == nil
	c.stays.Store(c.moved || c.canMove()) // refused; if no process takes connections now, another one may later
	c.ended = c.ended || c.moved
}

// data returns the data of the moved connection.
func (c *conn) data() []byte {
	switch {
	case c.in.post:
		return []byte(dataPost)
	case c.in.requests > 0 || c.arrival.idle:
		return []byte(dataIdle)
	}
	return nil
}

// shut ends reading. It returns false if the connection is on its way to another process,
// or if a request was read that net/http begins a moment later or has begun: the rest of
// its body would be cut.
func (c *conn) shut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moving || c.moved || c.arrived.Load() || !c.idle.Load() {
		return false
	}
	c.ended = true
	_ = c.socket.CloseRead() // fails where the client has gone
	return true
}

// skipLineEnds drops line ends that come before the first request here, because the
// one before it was a POST: net/http forgives them there, and knows of none.
func (c *conn) skipLineEnds(p []byte) int {
	rest := p
	for c.skip > 0 && len(rest) > 0 && (rest[0] == '\r' || rest[0] == '\n') {
		rest = rest[1:]
		c.skip--
	}
	if len(rest) > 0 {
		c.skip = 0
	}
	return copy(p, rest)
}
