package notify

import (
	"io"
	"net"
	"sync"
)

// A slot holds the connection that is open now, for Close to find it from another
// goroutine.
type slot struct {
	mu     sync.Mutex
	conn   io.Closer // nil: none
	closed bool
}

// put makes conn the connection that is open and closes the one before it. In a
// closed slot it closes conn.
func (s *slot) put(conn io.Closer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close() // nothing was sent over it
		return net.ErrClosed
	}
	if s.conn != nil {
		_ = s.conn.Close() // it was used up: there is nothing to lose
	}
	s.conn = conn
	return nil
}

// empty closes the connection that is open.
func (s *slot) empty() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeConn()
}

// Close closes the connection that is open and all that are put later.
func (s *slot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.closeConn()
}

func (s *slot) closeConn() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// isClosed reports whether Close was called.
func (s *slot) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
