package rews

import (
	"net"
	"time"
)

// This file writes, and ends connections.

// Write implements net.Conn. After Leave has begun, it finishes the message that has begun,
// and fails with ErrMoving before any byte of another message.
func (c *conn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.reply == nil {
		return c.writeFrames(p)
	}
	n, err := c.reply.take(c, p)
	if err != nil || n == len(p) {
		return n, err
	}
	k, err := c.writeFrames(p[n:])
	return n + k, err
}

func (c *conn) writeFrames(p []byte) (int, error) {
	between := c.out.between()
	switch {
	case len(p) == 0:
		return 0, nil
	case c.shut || c.leaving && between:
		return 0, ErrMoving
	case !c.webSocket:
		return c.Conn.Write(p)
	case c.late != nil || c.suspended.Load() && between && p[0]&0xf == opClose:
		c.late = append(c.late, p...) // the reaction to ErrMoving; the connection may move
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	c.out.take(p[:n])
	if c.out.closing {
		c.sentClose.Store(true)
	}
	c.written.Broadcast()
	return n, err
}

// quiesce ends the library's use of the connection. It waits for the end of the message that
// is being written. It returns false if that does not come, because a writer has given up
// within a message, or if a close frame was written: the connection cannot go on then.
func (c *conn) quiesce() bool {
	c.wmu.Lock()
	late := false
	timer := time.AfterFunc(c.s.srv.g.DrainTime(), func() {
		c.wmu.Lock()
		defer c.wmu.Unlock()
		late = true
		c.written.Broadcast()
	})
	defer timer.Stop()
	c.leaving = true
	for !c.out.between() && !c.out.closing && !c.out.bad && !late {
		c.written.Wait()
	}
	ok := c.out.between()
	if ok {
		c.shut, c.late = true, nil
	}
	c.wmu.Unlock()
	if ok {
		c.stopReading()
	}
	return ok
}

// stopReading waits for the end of a Read, which another protocol than WebSocket may call
// after ErrMoving. From then on the library's deadlines have no effect.
func (c *conn) stopReading() {
	c.wake()
	c.dmu.Lock()
	c.left = true
	c.dmu.Unlock()
	c.rmu.Lock()
	defer c.rmu.Unlock()
	_ = c.Conn.SetDeadline(time.Time{}) // fails on a closed connection only
}

// Close implements net.Conn. After ErrMoving the connection stays open until Leave was called
// or the handler has returned.
func (c *conn) Close() error {
	if !c.s.mayClose(c) {
		return nil
	}
	return c.end()
}

// end closes the connection. A client that did not get a close frame after ErrMoving gets one.
func (c *conn) end() error {
	if c.webSocket && c.suspended.Load() && c.wmu.TryLock() { // else a Write waits for the client, and Close ends it
		whole := c.out.between() || c.out.closing
		c.shut = c.shut || whole
		c.wmu.Unlock()
		if whole {
			return c.bidFarewell()
		}
	}
	c.s.srv.remove(c)
	return c.Conn.Close()
}

// serviceRestart is the close frame 1012.
var serviceRestart = []byte{0x80 | opClose, 2, 1012 >> 8, 1012 & 0xff}

// maxFarewell limits the time that a client has for its close frame.
const maxFarewell = 5 * time.Second

// bidFarewell writes a close frame, waits for the client's close frame or its end, and closes
// the connection. It writes the close frame of the program if there is one, and 1012 otherwise.
// It reads, because closing a socket with unread bytes resets the connection, and the client
// may lose the close frame.
func (c *conn) bidFarewell() error {
	defer c.s.srv.remove(c)
	c.wmu.Lock()
	frame := c.late
	if frame == nil {
		frame = serviceRestart
	}
	told := c.out.closing
	c.shut, c.late = true, nil
	c.wmu.Unlock()
	c.stopReading()
	_ = c.Conn.SetDeadline(time.Now().Add(min(maxFarewell, c.s.srv.g.DrainTime()/4))) // as in stopReading
	if !c.webSocket {
		return c.Conn.Close()
	}
	if !told {
		if _, err := c.Conn.Write(frame); err != nil {
			_ = c.Conn.Close() // the client has gone
			return err
		}
	}
	c.discard()
	return c.Conn.Close()
}

// discard reads until the client's close frame has come.
func (c *conn) discard() {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	for buf := make([]byte, 4096); !c.in.closed(); {
		n, err := c.Conn.Read(buf)
		c.in.take(buf[:n])
		if err != nil {
			return // also the time is over
		}
	}
}

var _ net.Conn = (*conn)(nil)
