package rews

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/hijacked"
)

// patience bounds a wait: it ends a test that hangs.
const patience = 60 * time.Second

// A line is a sequence of generations in one process, with one http.Server. Connections move
// from one generation to the next as between processes.
type line struct {
	testing.TB
	address      string
	handler      func() http.Handler // the handler of a new generation
	refuse       func() bool         // reports whether a move fails, unless the connection was refused before
	refuseAlways bool
	drain        time.Duration
	spread       time.Duration // 0: a quarter of drain

	moves, refusals atomic.Int64
	logged          chan string

	mu  sync.Mutex
	now *generation
}

type generation struct {
	*line
	bound              hijacked.Bound
	draining, stopping chan struct{}
	next               *generation // set before draining is closed; nil if none takes connections
	before             *generation
}

func (g *generation) Draining() <-chan struct{} { return g.draining }
func (g *generation) Stopping() <-chan struct{} { return g.stopping }
func (g *generation) DrainTime() time.Duration  { return g.drain }

// newLine starts the first generation.
func newLine(t testing.TB, handler func() http.Handler) *line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{TB: t, address: ln.Addr().String(), handler: handler, refuse: func() bool { return false }, drain: patience, logged: make(chan string, 1000)}
	l.now = l.generation()
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Value(genKey{}).(*generation).bound.ServeHTTP(w, r)
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, genKey{}, c.(*movingConn).g)
		},
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(&lineListener{ln, l}) }() // joined by Cleanup
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return l
}

type genKey struct{}

func (l *line) generation() *generation {
	g := &generation{line: l, draining: make(chan struct{}), stopping: make(chan struct{})}
	g.bound = Handler(l.handler()).(hijacked.Handler).Bind(g, func(format string, args ...any) {
		select {
		case l.logged <- format:
		default:
		}
	})
	if l.spread > 0 {
		g.bound.(*server).spread = l.spread
	}
	return g
}

func (l *line) current() *generation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// upgrade replaces the generation that accepts, and returns the old one.
func (l *line) upgrade() *generation {
	next := l.generation()
	l.mu.Lock()
	old := l.now
	old.next, next.before = next, old
	l.now = next
	l.mu.Unlock()
	close(old.draining)
	old.bound.Leave()
	return old
}

// stop makes the last generation drain, and then stops every generation.
func (l *line) stop() {
	g := l.current()
	close(g.draining)
	g.bound.Leave()
	for ; g != nil; g = g.before {
		close(g.stopping)
		g.bound.Leave()
	}
}

type lineListener struct {
	net.Listener
	l *line
}

func (l *lineListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &movingConn{TCPConn: c.(*net.TCPConn), g: l.l.current()}, nil
}

// movingConn is a connection as rehttp has it.
type movingConn struct {
	*net.TCPConn
	g       *generation
	refused bool // the last move
}

var errRefused = errors.New("refused")

func (c *movingConn) CanMoveAs(f string) bool {
	return isClosed(c.g.draining) && c.g.next != nil && f == c.g.next.bound.Format()
}

func (c *movingConn) MoveAs(f string, data []byte) error {
	if c.refused = c.g.refuseAlways || !c.refused && c.g.refuse(); c.refused { // not twice, because then the client is told to come again
		c.g.refusals.Add(1)
		return errRefused
	}
	c.g.moves.Add(1)
	go c.g.next.bound.Resume(context.Background(), &movingConn{TCPConn: c.TCPConn, g: c.g.next}, data) // ends with the connection
	return nil
}
