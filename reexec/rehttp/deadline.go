package rehttp

import (
	"errors"
	"os"
	"time"
)

// past is a deadline that has expired.
var past = time.Unix(1, 0)

// arrival describes a connection that was idle in another process. net/http takes it for
// a new one, and would close it after the timeouts of a new client.
type arrival struct {
	idle bool          // the connection was idle, and no byte was read since
	at   time.Time     // time of the arrival
	late time.Duration // time from at to the first byte
}

// wake interrupts a waiting Read, which then checks whether the connection can move. The
// deadlines of the server stay the same. wake returns false if a Read is already being
// interrupted, or if the connection moves, has ended, or is hijacked.
func (c *conn) wake() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken.Load() || c.moving || c.ended || c.hijacked.Load() {
		return false
	}
	c.woken.Store(true)
	_ = c.socket.SetReadDeadline(past) // fails on a closed socket only, which Read reports
	return true
}

// wasWoken reports whether wake has ended a Read with err. It restores the deadline then.
func (c *conn) wasWoken(err error) bool {
	return c.woken.Load() && errors.Is(err, os.ErrDeadlineExceeded) && c.unwake()
}

// unwake restores the deadline that wake has replaced, and reports whether it has.
func (c *conn) unwake() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.woken.Swap(false)
	if was {
		_ = c.socket.SetReadDeadline(c.deadline) // as in wake
	}
	return was
}

// settle restores the deadline of the server, and forgets the arrival.
func (c *conn) settle() {
	c.unwake()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrival = arrival{}
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.socket.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// SetReadDeadline implements net.Conn. A deadline that is set after wake holds once the
// interrupted Read has returned.
func (c *conn) SetReadDeadline(t time.Time) error {
	if t.IsZero() && !c.timed.Load() {
		return nil // net/http removes the deadline several times for one request
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.arrival.idle {
		return nil // no request has begun, and arrive has set the deadline
	}
	if c.arrival.late > 0 && !t.IsZero() {
		t = t.Add(c.arrival.late) // net/http counts from the arrival, not from the first byte
	}
	return c.setReadDeadline(t)
}

func (c *conn) setReadDeadline(t time.Time) error {
	c.deadline = t
	c.timed.Store(!t.IsZero())
	if c.woken.Load() {
		return nil
	}
	return c.socket.SetReadDeadline(t)
}

// arrive sets the deadline of a connection that was idle in another process: the idle
// timeout.
func (c *conn) arrive(idle time.Duration) {
	c.arrival.idle, c.arrival.at = true, time.Now()
	_ = c.setReadDeadline(after(idle)) // as in wake
}

// firstBytes replaces the idle timeout of an arrival by the timeout for a header.
func (c *conn) firstBytes() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.arrival.idle {
		return
	}
	c.arrival.idle, c.arrival.late = false, time.Since(c.arrival.at)
	_ = c.setReadDeadline(after(c.t.headerTimeout())) // as in wake
}

// after returns the time d from now, or no deadline for 0.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// silence returns the idle timeout of a moved connection before Accept has returned it.
func (t *tracker) silence(data []byte) time.Duration {
	if len(data) == 0 {
		return t.headerTimeout() // the client has sent no request
	}
	return t.idleTimeout()
}

// headerTimeout and idleTimeout return the timeouts that net/http uses for the server.
func (t *tracker) headerTimeout() time.Duration {
	if t.srv.ReadHeaderTimeout != 0 {
		return t.srv.ReadHeaderTimeout
	}
	return t.srv.ReadTimeout
}

func (t *tracker) idleTimeout() time.Duration {
	if t.srv.IdleTimeout != 0 {
		return t.srv.IdleTimeout
	}
	return t.srv.ReadTimeout
}
