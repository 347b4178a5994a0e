package rehttp

import (
	"errors"
	"os"
	"time"
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// arrival is what is particular to a connection that was idle in another process. To
// net/http it is new, and it would close it by the times that a new client has.
type arrival struct {
	idle bool          // and there was no byte since
	at   time.Time     // when it has come
	late time.Duration // when its first byte has come, after at
}

// wake makes a Read that waits look whether the connection can move. The server's own
// deadlines stay what they are. False: there is none, or it does so already.
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

// wasWoken reports whether it was wake that has ended a Read with err, and restores the
// deadline.
func (c *conn) wasWoken(err error) bool {
	return c.woken.Load() && errors.Is(err, os.ErrDeadlineExceeded) && c.unwake()
}

func (c *conn) unwake() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.woken.Swap(false)
	if was {
		_ = c.socket.SetReadDeadline(c.deadline) // as in wake
	}
	return was
}

// settle ends what wake and an arrival have begun.
func (c *conn) settle() {
	c.unwake()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrival = arrival{}
}

// SetDeadline is that of net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.socket.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// SetReadDeadline is that of net.Conn, and holds also where wake has ended a Read.
func (c *conn) SetReadDeadline(t time.Time) error {
	if t.IsZero() && !c.timed.Load() {
		return nil // net/http makes sure of that several times for a request
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.arrival.idle {
		return nil // no request has begun for which it could be
	}
	if c.arrival.late > 0 && !t.IsZero() {
		t = t.Add(c.arrival.late) // net/http has counted from the beginning
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

// arrive gives a connection that was idle the time that an idle one has.
func (c *conn) arrive(idle time.Duration) {
	c.arrival.idle, c.arrival.at = true, time.Now()
	_ = c.setReadDeadline(after(idle)) // as in wake
}

// firstBytes begins the time that net/http gives to the header of a request.
func (c *conn) firstBytes() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.arrival.idle {
		return
	}
	c.arrival.idle, c.arrival.late = false, time.Since(c.arrival.at)
	_ = c.setReadDeadline(after(c.t.headerTimeout())) // as in wake
}

// after returns the deadline for what may take d, and none for 0.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// silence is how long a connection that has moved here may be idle before its server
// has it.
func (t *tracker) silence(data []byte) time.Duration {
	if len(data) == 0 {
		return t.headerTimeout() // it is new
	}
	return t.idleTimeout()
}

// headerTimeout and idleTimeout are net/http's.
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
