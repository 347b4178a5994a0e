package remqtt

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// This file has the methods of net.Conn: the server's end of a session. Read hands out whole
// packets, so when the server reads again it has taken each packet before.

// maxWhole limits the packets that are kept until they are whole. A longer PUBLISH packet is
// passed in parts, and the session can move when its end has passed.
const maxWhole = 1 << 20

// smallest is the size from which the buffer of the server is used to read the client.
const smallest = 512

// Read implements net.Conn.
func (s *session) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.look()
		s.sendReplies()
		switch {
		case s.closed:
			return 0, net.ErrClosed
		case len(s.ready) > 0:
			n := copy(b, s.ready)
			if s.ready = s.ready[n:]; len(s.ready) == 0 {
				s.ready = nil
			}
			return n, nil
		case s.ended:
			return 0, io.EOF
		case s.failed != nil && s.phase != running:
			return 0, s.failed
		case s.client == nil || s.phase != running && (s.through == 0 || s.reason() != ""):
			s.parked = true
			s.changed.Broadcast()
			s.changed.Wait()
			s.parked = false
		default:
			if err := s.receive(b); err != nil {
				return 0, err
			}
		}
	}
}

// receive reads the client. It unlocks mu meanwhile.
func (s *session) receive(b []byte) error {
	if len(b) < smallest {
		b = make([]byte, smallest)
	}
	s.reading = true
	s.mu.Unlock()
	n, err := s.client.Read(b)
	s.mu.Lock()
	s.reading = false
	s.changed.Broadcast()
	s.unread = append(s.unread, b[:n]...)
	switch {
	case err == nil || n > 0:
		return nil
	case s.phase != running && errors.Is(err, os.ErrDeadlineExceeded):
		if s.through > 0 {
			s.fails = "a message of more than 1 MiB is under way"
		}
		return nil
	}
	s.failed = err
	return err
}

// look passes the packets that have come.
func (s *session) look() {
	for len(s.unread) > 0 && (s.phase == running || s.through > 0 && s.reason() == "") {
		n := size(s.unread)
		switch {
		case s.raw:
			n = len(s.unread)
			s.ready = append(s.ready, s.unread...)
		case s.through > 0:
			n = min(s.through, len(s.unread))
			s.through -= n
			s.ready = append(s.ready, s.unread[:n]...)
		case n < 0 || s.opening.level == 0 && (n > maxWhole || s.unread[0] != typeConnect<<4):
			s.raw = true
			continue
		case n == 0 || n > len(s.unread):
			if n <= maxWhole || s.unread[0]>>4 != typePublish || len(s.unread) < 1<<17 {
				return
			}
			s.through = n - len(s.unread)
			s.ready = append(s.ready, s.fromClient(s.unread)...)
			n = len(s.unread)
		default:
			s.ready = append(s.ready, s.fromClient(s.unread[:n])...)
		}
		if s.unread = s.unread[n:]; len(s.unread) == 0 {
			s.unread = nil
		}
	}
}

// Write implements net.Conn.
func (s *session) Write(b []byte) (int, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	if s.closed {
		return 0, net.ErrClosed
	}
	if s.phase == leaving {
		return len(b), nil // the client is in another process
	}
	out, err := b, error(nil)
	if !s.raw {
		s.part = append(s.part, b...)
		out = nil
		for n := size(s.part); n > 0 && n <= len(s.part); n = size(s.part) {
			out = append(out, s.fromServer(s.part[:n])...)
			s.part = s.part[n:]
		}
		if len(s.part) == 0 {
			s.part = nil
		}
	}
	for _, p := range s.takeReplies() {
		out = append(out, p...)
	}
	if err = s.send(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// takeReplies removes the replies.
func (s *session) takeReplies() []packet {
	replies := s.replies
	s.replies = nil
	return replies
}

// sendReplies writes the packets of this package. It unlocks mu meanwhile.
func (s *session) sendReplies() {
	if len(s.replies) == 0 {
		return
	}
	s.mu.Unlock()
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	var out []byte
	for _, p := range s.takeReplies() {
		out = append(out, p...)
	}
	_ = s.send(out) // the next Read of the server fails, too
}

// send writes to the client, or keeps the bytes if the session does not run. The bytes that were
// kept go first. The caller has wmu and mu, which is unlocked meanwhile.
func (s *session) send(out []byte) error {
	if s.client == nil {
		return nil
	}
	if s.phase != running {
		s.unsent = append(s.unsent, out...)
		return nil
	}
	if len(s.unsent) > 0 {
		out, s.unsent = append(s.unsent, out...), nil
	}
	if len(out) == 0 {
		return nil
	}
	s.mu.Unlock()
	n, err := s.client.Write(out)
	s.mu.Lock()
	if err != nil && s.phase != running && errors.Is(err, os.ErrDeadlineExceeded) {
		s.unsent = slices.Concat(out[n:], s.unsent) // run may have added to unsent
		return nil
	}
	if err != nil && s.failed == nil {
		s.failed = err // the client has gone, and the session ends in this process
		s.changed.Broadcast()
	}
	return err
}

// Close implements net.Conn.
func (s *session) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.changed.Broadcast()
	client := s.client
	if s.phase == leaving {
		client = nil // leave or dismiss closes it
	}
	s.l.closed(s)
	s.mu.Unlock()
	if client == nil {
		return nil
	}
	return client.Close()
}

// SetReadDeadline implements net.Conn.
func (s *session) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readDeadline = t
	if s.phase != running || s.client == nil {
		return nil
	}
	return s.client.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (s *session) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeDeadline = t
	if s.phase != running || s.client == nil {
		return nil
	}
	return s.client.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (s *session) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// LocalAddr implements net.Conn.
func (s *session) LocalAddr() net.Addr {
	if s.client == nil {
		return s.l.Addr()
	}
	return s.client.LocalAddr()
}

// RemoteAddr implements net.Conn.
func (s *session) RemoteAddr() net.Addr {
	if s.client == nil {
		return s.l.Addr()
	}
	return s.client.RemoteAddr()
}

// NetConn returns the connection of the client, nil if the client is not connected.
func (s *session) NetConn() net.Conn { return s.client }

var _ net.Conn = (*session)(nil)
