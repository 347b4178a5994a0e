package reexec

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// quietGrace is the time for which a session of a stopping process may be silent: long enough
// for a request that is on its way, short enough for a restart.
const quietGrace = 500 * time.Millisecond

// sessions is a listener that knows its open connections.
type sessions struct {
	*gate.Listener
	u      *Upgrader
	closed atomic.Bool // the server has closed the listener

	mu      sync.Mutex
	open    map[*session]struct{}
	hurried bool // silent sessions are ended
	brief   bool // all sessions are ended
}

// session is an open connection. The pointers are weak, so that the garbage collector still
// closes connections that the server has dropped.
type session struct {
	tcp  weak.Pointer[net.TCPConn]
	unix weak.Pointer[net.UnixConn]
}

// halfCloser has the methods of *net.TCPConn and *net.UnixConn that sessions needs.
type halfCloser interface {
	net.Conn
	syscall.Conn
	CloseRead() error
}

func newSessions(u *Upgrader, g *gate.Listener) *sessions {
	return &sessions{Listener: g, u: u, open: map[*session]struct{}{}}
}

// Accept returns a connection and notes it.
func (l *sessions) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
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
	l.hasten(s)
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

// attend ends sessions while this generation ends, and again if it serves on and ends
// later. Silent sessions are ended when another process waits for the end of this one. With
// brief, all are ended as soon as this generation drains. attend calls tell, if it is not
// nil, with whether this generation drains. It returns when over is closed.
func (l *sessions) attend(tell func(draining bool), brief bool, over <-chan struct{}) {
	if tell == nil {
		tell = func(bool) {}
	}
	for {
		e := l.u.endings.Load()
		for _, c := range []<-chan struct{}{e.draining, e.stopping} {
			select {
			case <-c:
			case <-e.resumed:
			case <-over:
				return
			}
			if c == e.draining {
				tell(true)
			}
			l.hurry(c == e.stopping, brief)
		}
		select {
		case <-e.resumed:
			tell(false)
			l.hurry(false, false)
		case <-over:
			return
		}
	}
}

// hurry sets which sessions end.
func (l *sessions) hurry(silent, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurried, l.brief = silent, all
	for s := range l.open {
		l.hasten(s)
	}
}

// hasten ends s, now or later, if this generation is in a hurry. It runs under mu.
func (l *sessions) hasten(s *session) {
	switch {
	case l.brief:
		if c := s.conn(); c != nil {
			_ = c.CloseRead() // fails on a closed connection only
			time.AfterFunc(quietGrace, func() { l.cutBrief(s) })
		}
	case l.hurried:
		time.AfterFunc(quietGrace, func() { l.endSilent(s) })
	}
}

// endSilent makes the server see the end of a silent session: it still answers the data that
// it has read, and closes. It looks again at a session that is not silent.
func (l *sessions) endSilent(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := s.conn()
	if _, open := l.open[s]; !open || !l.hurried || c == nil {
		return
	}
	unread, err := fd.Unread(c)
	silent, unknown := fd.Silent(c)
	switch {
	case err != nil: // closed meanwhile
	case unread > 0:
		time.AfterFunc(quietGrace, func() { l.endSilent(s) })
	case unknown == nil && silent < quietGrace:
		time.AfterFunc(quietGrace-silent, func() { l.endSilent(s) })
	default:
		_ = c.CloseRead() // as in hasten
	}
}

// cutBrief closes a session that has not ended by itself.
func (l *sessions) cutBrief(s *session) {
	l.mu.Lock()
	c := s.conn()
	_, open := l.open[s]
	if !l.brief || !open {
		c = nil
	}
	l.mu.Unlock()
	if c != nil {
		_ = c.Close() // its goroutines see it, and close it, too
	}
}

// cut ends the open sessions after the error late of Drain, and reports them.
func (l *sessions) cut(name string, late error) error {
	if !errors.Is(late, ErrDrainDeadline) {
		return late
	}
	e := &CutError{Service: name, Err: late}
	for _, c := range l.list() {
		e.Work = append(e.Work, c.RemoteAddr().String())
		_ = c.Close() // as in cutBrief
	}
	if len(e.Work) == 0 {
		return nil // the work of another service was cut
	}
	return e
}
