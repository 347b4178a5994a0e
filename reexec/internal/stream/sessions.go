// Package stream serves the connections of a listener by any server with an accept loop, and
// ends them when the generation ends.
package stream

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// sessions is a listener that knows its open connections.
type sessions struct {
	*gate.Listener
	endings   *endings.Current
	closed    atomic.Bool  // the server has closed the listener
	accepting atomic.Int32 // calls of Accept under way

	mu     sync.Mutex
	open   map[*session]struct{}
	silent bool // silent sessions are ended
	all    bool // all sessions are ended
}

// session is an open connection. The pointers are weak, so that the garbage collector still
// closes connections that the server has dropped.
type session struct {
	tcp  weak.Pointer[net.TCPConn]
	unix weak.Pointer[net.UnixConn]

	late bool // it came while this process covers a crash of the successor
}

// halfCloser has the methods of *net.TCPConn and *net.UnixConn that sessions needs.
type halfCloser interface {
	net.Conn
	syscall.Conn
	CloseRead() error
}

func newSessions(g *gate.Listener, e *endings.Current) *sessions {
	l := &sessions{Listener: g, endings: e, open: map[*session]struct{}{}}
	l.closed.Store(g.Ended()) // the server of an earlier Run may have closed it
	return l
}

// Accept returns a connection and notes it.
func (l *sessions) Accept() (net.Conn, error) {
	l.accepting.Add(1)
	c, err := l.Listener.Accept()
	l.accepting.Add(-1)
	if err != nil {
		return nil, err
	}
	s := &session{}
	switch c := c.(type) {
	case *accepted.TCPConn:
		s.tcp = weak.Make(c.TCPConn)
	case *accepted.UnixConn:
		s.unix = weak.Make(c.UnixConn)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[s] = struct{}{}
	accepted.Then(c, func() { l.forget(s) })
	e := l.endings.Load()
	s.late = endings.Closed(e.Stopping) && l.Position() == gate.IsOpen
	if endings.Closed(e.Draining) { // otherwise watch may not know yet that this generation serves again
		l.endSoon(s)
	}
	return c, nil
}

// Close closes the listener. The server may call it.
func (l *sessions) Close() error {
	l.closed.Store(true)
	return l.Listener.Close()
}

func (l *sessions) forget(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, s)
}

// conn returns the connection, nil if it was dropped.
func (s *session) conn() halfCloser {
	if c := s.tcp.Value(); c != nil {
		return c
	}
	if c := s.unix.Value(); c != nil {
		return c
	}
	return nil
}

// list returns the open sessions.
func (l *sessions) list() (all []halfCloser) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.open {
		if c := s.conn(); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// watch ends sessions while this generation ends, and again if it serves on and ends
// later. Silent sessions are ended when another process waits for the end of this one. With
// brief, all are ended as soon as this generation drains, except for those that come after a crash
// of the successor. watch calls tell with whether this generation drains. It returns when over is
// closed.
func (l *sessions) watch(tell func(draining bool), brief bool, over <-chan struct{}) {
	for {
		e := l.endings.Load()
		for _, c := range []<-chan struct{}{e.Draining, e.Stopping} {
			select {
			case <-c:
			case <-e.Resumed:
			case <-over:
				return
			}
			if c == e.Draining {
				tell(true)
			}
			l.endSessions(e, c == e.Stopping, brief)
		}
		select {
		case <-e.Resumed:
			l.endNone()
			tell(false)
		case <-over:
			return
		}
	}
}

// endNone sets that no sessions end.
func (l *sessions) endNone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent, l.all = false, false
}

// endSessions sets which sessions end at the end e. It does nothing if this generation serves again,
// because it would end sessions that have come since.
func (l *sessions) endSessions(e *endings.Endings, silent, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if endings.Closed(e.Resumed) {
		return
	}
	l.silent, l.all = silent, all
	for s := range l.open {
		l.endSoon(s)
	}
}

// endSoon ends s, now or later, if it is one that has to end. It runs under mu.
func (l *sessions) endSoon(s *session) {
	switch {
	case l.all && s.late && l.Position() == gate.IsOpen: // the process covers the crash until its gates shut
		time.AfterFunc(timeout.Quiet, func() { l.endLate(s) })
	case l.all:
		if c := s.conn(); c != nil {
			_ = c.CloseRead() // fails on a closed connection only
			time.AfterFunc(timeout.Quiet, func() { l.cutBrief(s) })
		}
	case l.silent:
		time.AfterFunc(timeout.Quiet, func() { l.endSilent(s) })
	}
}

// endLate ends a late session if this process accepts no more, and otherwise looks again later.
func (l *sessions) endLate(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.open[s]; open {
		l.endSoon(s)
	}
}

// endSilent makes the server see the end of a silent session: it still answers the data that
// it has read, and closes. It looks again at a session that is not silent.
func (l *sessions) endSilent(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := s.conn()
	if _, open := l.open[s]; !open || !l.silent || c == nil {
		return
	}
	unread, err := fd.Unread(c)
	silent, unknown := fd.Silent(c)
	switch {
	case err != nil: // closed meanwhile
	case unread > 0:
		time.AfterFunc(timeout.Quiet, func() { l.endSilent(s) })
	case unknown == nil && silent < timeout.Quiet:
		time.AfterFunc(timeout.Quiet-silent, func() { l.endSilent(s) })
	default:
		_ = c.CloseRead() // as in endSoon
	}
}

// cutBrief closes a session that has not ended by itself.
func (l *sessions) cutBrief(s *session) {
	l.mu.Lock()
	c := s.conn()
	_, open := l.open[s]
	if !l.all || !open {
		c = nil
	}
	l.mu.Unlock()
	if c != nil {
		_ = c.Close() // its goroutines see it, and close it, too
	}
}

// cut ends the open sessions and returns the addresses of their clients.
func (l *sessions) cut() (clients []string) {
	for _, c := range l.list() {
		clients = append(clients, c.RemoteAddr().String())
		_ = c.Close() // as in cutBrief
	}
	return clients
}
