package remqtt

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// generation has the methods of reexec.Upgrader that a listener needs.
type generation interface {
	Draining() <-chan struct{}
	Stopping() <-chan struct{}
	Resumed() <-chan struct{}
	DrainTime() time.Duration
	Hold() (release func())
	CanMove(name, format string) bool
	Move(ctx context.Context, name string, c net.Conn, format string, data []byte) error
	WaitForPredecessor(ctx context.Context) error
}

// A listener gives sessions to a server: those of new connections, those of an earlier
// process, and those that move the messages of clients that are not connected.
type listener struct {
	net.Listener
	g        generation
	name     string
	service  *Service
	log      *slog.Logger
	arrivals chan *session
	over     chan struct{} // closed by Close
	once     sync.Once
	expects  bool // a predecessor gives its sessions

	mu         sync.Mutex
	changed    *sync.Cond
	sessions   map[*session]struct{}
	live       map[string]*session // those that have the messages of a client, by its identifier
	absent     map[string]absence  // of the other clients
	admits     bool                // new connections reach the server
	left       bool                // the sessions move to the successor, or have moved
	waiting    []net.Conn
	empty      int                 // times that accept found no connection before the deadline of settle
	acceptOver bool                // accept has returned
	links      int                 // that sessions come from
	sockets    map[string]net.Conn // that have come, by the data of their move
	late       map[string]snapshot // sessions without a socket yet
	broken     bool                // a link has ended early
	ended      map[string]bool     // marks of links that bring no more sessions
}

func newListener(ln net.Listener, g generation, s *Service) *listener {
	l := &listener{
		Listener: ln, g: g, name: s.Name, service: s, log: s.Logger,
		arrivals: make(chan *session), over: make(chan struct{}),
		sessions: map[*session]struct{}{}, live: map[string]*session{}, absent: map[string]absence{},
		sockets: map[string]net.Conn{}, late: map[string]snapshot{}, ended: map[string]bool{},
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// token returns a text that no other process and no client has.
func token() string { return rand.Text() }

// Accept implements net.Listener for the server.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case s := <-l.arrivals:
		return s, nil
	case <-l.over:
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close implements net.Listener. The server may call it.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.over) })
	return l.Listener.Close()
}

// offer gives s to the server. It returns false if the server accepts no more.
func (l *listener) offer(s *session) bool {
	l.mu.Lock()
	l.sessions[s] = struct{}{}
	l.mu.Unlock()
	select {
	case l.arrivals <- s:
		return true
	case <-l.over:
		_ = s.Close() // no goroutine of the server has it
		return false
	}
}

// acceptPause is the time between two attempts if the process has no free descriptor.
const acceptPause = 100 * time.Millisecond

// accept accepts connections until the listener is closed.
func (l *listener) accept() {
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			l.foundNone(true)
			return
		case errors.Is(err, os.ErrDeadlineExceeded): // of settle
			l.foundNone(false)
			continue
		case err != nil:
			l.log.Error("mqtt: accept", "listener", l.name, "error", err)
			l.foundNone(false) // settle does not wait for a free descriptor
			select {
			case <-time.After(acceptPause):
			case <-l.over:
			}
			continue
		}
		m, moved := c.(*reexec.Moved)
		switch {
		case !moved:
			l.admit(c)
		case m.Format == linkFormat && len(m.Data) == 0:
			_ = m.Close() // isAlone has asked whether this process lives
		case m.Format == linkFormat:
			l.mu.Lock()
			l.links++
			l.mu.Unlock()
			go l.receive(m.Conn, string(m.Data)) // ends with the link
		case m.Format == newFormat:
			l.admit(m.Conn)
		default:
			l.join(m.Conn, string(m.Data))
		}
	}
}

// admit gives a new connection to the server, now or when the sessions of the predecessor are
// here: until then no client hears the new one. If the sessions of this process
// move, the connection follows them.
func (l *listener) admit(c net.Conn) {
	l.mu.Lock()
	if !l.admits {
		l.waiting = append(l.waiting, c)
		l.mu.Unlock()
		return
	}
	left := l.left
	l.mu.Unlock()
	if left && l.g.CanMove(l.name, newFormat) && l.g.Move(context.Background(), l.name, c, newFormat, nil) == nil {
		return
	}
	l.mu.Lock()
	if l.left && !left {
		l.mu.Unlock()
		l.admit(c)
		return
	}
	s := l.accepted(c)
	l.sessions[s] = struct{}{} // leave must not miss it
	l.mu.Unlock()
	l.offer(s)
}

// admitAll lets new connections reach the server.
func (l *listener) admitAll() {
	var all []*session
	l.mu.Lock()
	for _, c := range l.waiting {
		s := l.accepted(c)
		l.sessions[s] = struct{}{} // as in admit
		all = append(all, s)
	}
	l.waiting, l.admits = nil, true
	l.changed.Broadcast()
	l.mu.Unlock()
	for _, s := range all {
		l.offer(s)
	}
}

// awaitSessions waits for the sessions of the predecessor, or for its end.
func (l *listener) awaitSessions() {
	defer l.admitAll()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	gone := false
	go func() { // ends with the predecessor, or with awaitSessions
		_ = l.g.WaitForPredecessor(ctx) // every error means that none is there
		l.mu.Lock()
		defer l.mu.Unlock()
		gone = true
		l.changed.Broadcast()
	}()
	defer context.AfterFunc(ctx, l.wake)()
	go func() { // as above
		select {
		case <-l.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	for ctx.Err() == nil && l.expects && (!gone || l.links > 0) {
		l.changed.Wait()
	}
	timer := time.AfterFunc(patience, l.wake)
	defer timer.Stop()
	for limit := time.Now().Add(patience); ctx.Err() == nil && l.broken && len(l.late) > 0 && !gone && time.Now().Before(limit); {
		l.changed.Wait() // the predecessor that has broken the link dies
	}
	if gone {
		l.settle() // a late session may have a socket that accept has not taken
		for ctx.Err() == nil && l.links > 0 {
			l.changed.Wait()
		}
		l.mu.Unlock()
		l.adoptLate()
		l.mu.Lock()
	}
}

// settle waits until accept has taken the connections that have come from a dead predecessor. A call of
// Accept that has begun may find none, although one has come since. The next call finds it. The caller
// has mu.
func (l *listener) settle() {
	ln, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok || len(l.late) == 0 {
		return
	}
	l.empty = 0
	_ = ln.SetDeadline(past) // fails on a closed listener only
	for l.empty < 2 && !l.acceptOver {
		l.changed.Wait()
	}
	_ = ln.SetDeadline(time.Time{}) // as above
}

// foundNone notes that accept has found no connection. over says that none comes any more.
func (l *listener) foundNone(over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.empty++
	l.acceptOver = l.acceptOver || over
	l.changed.Broadcast()
}

func (l *listener) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
}

// accepted returns the session of a new connection.
func (l *listener) accepted(c net.Conn) *session {
	if config := l.service.TLSConfig; config != nil {
		s := newSession(l, tls.Server(c, config), running)
		s.stays = "its TLS is in this process"
		return s
	}
	return newSession(l, c, running)
}

// setLive notes that s has the messages of its client.
func (l *listener) setLive(s *session) {
	if id := s.clientID(); id != "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.live[id] = s
	}
}

// opened notes that the server has accepted the CONNECT packet of s. If the server knows the
// session, s gets the account of the earlier connection. The caller has the mu of s.
func (l *listener) opened(s *session) {
	id := s.clientID()
	if id == "" {
		return
	}
	l.mu.Lock()
	before, a := l.live[id], l.absent[id]
	delete(l.absent, id)
	l.live[id] = s
	l.mu.Unlock()
	if before != nil && before != s {
		before.mu.Lock()
		a = absence{opening: before.opening, account: before.kept()}
		before.mu.Unlock()
	}
	if !s.welcome.present {
		return
	}
	if a.opening.level == 0 {
		s.stays = "the server has its session from an earlier process"
		return
	}
	s.account = a.account
	for i, d := range s.inOrder() {
		switch {
		case i >= s.opening.receiveMaximum() && d.last == typePublish && d.packet != nil:
			s.drop(d)
			s.deferred = append(s.deferred, deferred{d.packet, true})
		case !d.taken: // the server sends it again
		case d.last == typePubrel:
			s.replies = append(s.replies, answer(typePubrel, d.id))
		case d.packet != nil:
			p := append(packet(nil), d.packet.withID(d.id)...)
			p[0] |= 8 // a duplicate
			s.replies = append(s.replies, p)
		}
	}
	s.sendDeferred()
}

// closed notes that the server has closed s. The caller has the mu of s.
func (l *listener) closed(s *session) {
	id := s.clientID()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, s)
	if l.live[id] == s {
		delete(l.live, id)
		if s.persistent() && (s.phase != leaving || s.keeps) {
			l.absent[id] = s.absence()
		}
	}
	l.changed.Broadcast()
}

// list returns the sessions that the server has.
func (l *listener) list() (all []*session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.sessions {
		all = append(all, s)
	}
	return all
}
