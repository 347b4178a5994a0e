package rews

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/hijacked"
)

// session is one call of the handler with its connection. A connection that goes on in this
// process gets another session.
type session struct {
	srv     *server
	ctx     context.Context // of the connection
	request *http.Request   // the handshake
	bodied  bool            // the handshake has a body
	resumed bool
	agreed  agreement
	state   []byte

	mu       sync.Mutex
	c        *conn // nil before Hijack
	returned bool  // the handler has returned
	pending  bool  // Close was called, and waits for Leave or the end of the handler
	over     bool  // the connection is closed, or Leave has it
}

type sessionKey struct{}

func sessionOf(r *http.Request) *session {
	s, _ := r.Context().Value(sessionKey{}).(*session)
	return s
}

// in returns r with a context that knows s.
func (s *session) in(ctx context.Context, r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(ctx, sessionKey{}, s))
}

// hijack begins the use of c.
func (s *session) hijack(c *conn) {
	s.mu.Lock()
	s.c = c
	s.mu.Unlock()
	s.srv.add(c)
}

// mayClose reports whether Close closes c now. After ErrMoving the libraries and the programs
// close, and Leave or the end of the handler decides whether c moves or closes.
func (s *session) mayClose(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over || s.pending:
		return false
	case c.suspended.Load() && !s.returned:
		s.pending = true
		return false
	}
	s.over = true
	return true
}

// breaks ends a connection whose library does not keep the promises of the handshake. The
// client is told to come again when the handler returns.
func (s *session) breaks(c *conn) {
	c.stays.Store(true)
	c.suspended.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = true
}

// returns is called when the handler has returned.
func (s *session) returns() {
	s.mu.Lock()
	s.returned = true
	closes := s.pending && !s.over
	s.over = s.over || closes
	c := s.c
	s.mu.Unlock()
	if closes {
		_ = c.end()
	}
}

// leave is Leave.
func (s *session) leave(state []byte) bool {
	s.mu.Lock()
	c := s.c
	ok := c != nil && !s.over && c.suspended.Load()
	s.over = s.over || ok
	s.mu.Unlock()
	if !ok {
		return false
	}
	if !c.quiesce() {
		_ = c.end()
		return false
	}
	return s.pass(c, moved{s.request, s.agreed, state})
}

// pass gives the connection to another process, or to another call of the handler.
func (s *session) pass(c *conn, m moved) bool {
	refused := false
	if c.canMove() {
		s.srv.at(stepQuiesced)
		err := c.socket.MoveAs(format, m.encode())
		if err == nil {
			s.srv.at(stepMoved)
			s.srv.remove(c)
			return true
		}
		s.srv.logf("rews: the connection of %v does not move yet: %v", c.RemoteAddr(), err)
		refused = true
	}
	again := refused && !c.refused.Load() && !isClosed(s.srv.g.Stopping()) // a refused connection tries twice
	if c.stays.Load() || isClosed(s.srv.g.Draining()) && c.turnIsOver() && !again {
		_ = c.bidFarewell() // the client may have gone
		return false
	}
	s.srv.remove(c)
	_ = c.Conn.SetDeadline(time.Time{})        // fails on a closed connection only, which Read reports
	go s.srv.resume(s.ctx, c.Conn, m, refused) // ends with the handler
	return true
}

// movable returns c as a connection that another process can take, nil if it is none.
func (s *session) movable(c any) hijacked.Conn {
	m, ok := c.(hijacked.Conn)
	if !ok || s.bodied {
		return nil
	}
	return m
}
