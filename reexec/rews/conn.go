package rews

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/hijacked"
)

// conn is the connection that Hijack returns. It follows the frames of both directions.
//
// A library reads from it only if the bytes that it has do not suffice for the frame that it
// works on. So if it reads, and the bytes that it has end with the end of a frame, its buffer
// is empty, and every frame before is dealt with: control frames are answered, and the program
// has the payload. If that frame was the last one of its message, the program waits for the
// next message: there Read returns ErrMoving. All later bytes of the client are in the kernel
// and move with the socket. To end at a frame, Read returns no byte behind the frame that has
// begun, once the generation drains.
type conn struct {
	net.Conn
	s         *session
	socket    hijacked.Conn // Conn, nil if it cannot move
	webSocket bool          // else the program knows where its messages end

	stays     atomic.Bool // the connection cannot move: TLS, or an extension keeps state
	suspended atomic.Bool // Read has returned ErrMoving
	sentClose atomic.Bool // a close frame was written
	refused   atomic.Bool // another process has refused the connection in this drain
	turn      atomic.Pointer[time.Time]

	rmu   sync.Mutex
	in    frames
	early []byte // net/http has read them behind the handshake
	ended bool   // Read has returned an error of the socket

	wmu     sync.Mutex
	written *sync.Cond // a Write has ended
	out     frames
	reply   *reply // the answer to the handshake, while the library writes it
	leaving bool   // no message may begin
	shut    bool   // nothing may be written
	late    []byte // a close frame that was written after ErrMoving

	dmu      sync.Mutex
	deadline time.Time // for reading, as the library wants it
	woken    bool      // the socket has a deadline that is over
	left     bool      // the library's deadlines have no effect
}

func newConn(nc net.Conn, s *session) *conn {
	c := &conn{Conn: nc, s: s, socket: s.movable(nc), webSocket: isWebSocket(s.request.Header)}
	c.in.masked = true
	c.stays.Store(c.socket == nil)
	c.written = sync.NewCond(&c.wmu)
	return c
}

// follow begins to follow frames after the answer to the handshake.
func (c *conn) follow(a agreement) {
	if c.webSocket && !a.stateless() {
		c.stays.Store(true)
	}
	c.in.compressed, c.out.compressed = a.compressed(), a.compressed()
}

var past = time.Unix(1, 0)

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		c.in.take(p[:n])
		return n, nil
	}
	for len(p) > 0 {
		if c.suspends() {
			return 0, ErrMoving
		}
		n, err := c.Conn.Read(p[:c.limit(len(p))])
		if c.webSocket {
			c.in.take(p[:n])
		}
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if n == 0 && late && c.unwake() {
			continue
		}
		c.ended = c.ended || err != nil && !late
		return n, err
	}
	return 0, nil
}

// limit returns how many of n bytes Read may return.
func (c *conn) limit(n int) int {
	if c.webSocket && !c.in.bad && isClosed(c.s.srv.g.Draining()) {
		return min(n, c.in.need())
	}
	return n
}

// suspends reports whether Read returns ErrMoving.
func (c *conn) suspends() bool {
	if c.suspended.Load() {
		return c.webSocket || c.hasLeft() // another protocol may read on to the end of a message
	}
	if c.ended || !isClosed(c.s.srv.g.Draining()) || !c.isBetween() || !c.canMove() && !c.turnIsOver() {
		return false
	}
	c.suspended.Store(true)
	c.s.srv.at(stepSuspended)
	return true
}

// isBetween reports whether the client has sent no part of the next message.
func (c *conn) isBetween() bool { return !c.webSocket || c.in.between() && !c.sentClose.Load() }

// canMove reports whether another process may take the connection now. A connection that was
// refused waits for its turn.
func (c *conn) canMove() bool {
	return !c.stays.Load() && c.socket.CanMoveAs(format) && (!c.refused.Load() || c.turnIsOver())
}

// turnIsOver reports whether the client is told to come again if the connection cannot move.
// The connections take turns over the first quarter of the drain time, so that not all clients
// come at once. In a stop all turns are over.
func (c *conn) turnIsOver() bool {
	if isClosed(c.s.srv.g.Stopping()) {
		return true
	}
	turn := c.turn.Load()
	if turn == nil {
		c.setTurn(c.s.srv.spread) // the connection came while the generation drained
		return false
	}
	return !time.Now().Before(*turn)
}

func (c *conn) setTurn(after time.Duration) {
	at := time.Now().Add(after)
	c.turn.Store(&at)
	time.AfterFunc(after, c.wake)
}

// leaveSoon makes a waiting Read return ErrMoving, now or when the turn is over.
func (c *conn) leaveSoon() {
	if !isClosed(c.s.srv.g.Stopping()) {
		c.refused.Store(false)
		c.setTurn(rand.N(c.s.srv.spread + 1))
	}
	c.wake()
}

// wake makes a waiting Read check again whether it returns ErrMoving.
func (c *conn) wake() {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	if !c.woken && !c.left {
		c.woken = true
		_ = c.Conn.SetReadDeadline(past) // fails on a closed connection only
	}
}

// unwake restores the deadline that wake has replaced, and reports whether it has.
func (c *conn) unwake() bool {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	was := c.woken
	c.woken = false
	if was && !c.left {
		_ = c.Conn.SetReadDeadline(c.deadline) // as in wake
	}
	return was
}

func (c *conn) hasLeft() bool {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	return c.left
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetWriteDeadline(t), c.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn. After Leave it has no effect.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	if c.left {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn. After Leave it has no effect.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	c.deadline = t
	if c.woken || c.left {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}
