package remqtt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// A line is a sequence of generations in one process, each with a server. Connections move
// from one generation to the next as between processes.
type line struct {
	testing.TB
	address string
	broker  func() *broker      // of a new generation
	service *Service            // Serve is set for each generation
	refuse  func() bool         // reports whether a move of a client fails
	breaks  func(format string) // called before each move
	log     *recorder

	mu      sync.Mutex
	now     *fakeGeneration
	running sync.WaitGroup
}

type fakeGeneration struct {
	*line
	l                           *listener
	b                           *broker
	arrivals                    chan net.Conn
	draining, stopping, resumed chan struct{}
	closed, ended               chan struct{}
	once                        sync.Once
	next                        *fakeGeneration // set before draining is closed; nil if none takes connections
	dead                        bool            // next has died; under mu of the line
	before                      *fakeGeneration
	cut                         []string // work, after ended
	held                        atomic.Int64
	late                        chan struct{} // closed at the drain deadline
}

func (g *fakeGeneration) Stopping() <-chan struct{} { return g.stopping }
func (g *fakeGeneration) DrainTime() time.Duration  { return patienceOfTests }

// Draining implements generation.
func (g *fakeGeneration) Draining() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining
}

// Resumed implements generation.
func (g *fakeGeneration) Resumed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.resumed
}

// resume makes g the generation that serves, after the death of the next one.
func (g *fakeGeneration) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.resumed)
	g.draining, g.resumed, g.next, g.dead = make(chan struct{}), make(chan struct{}), nil, false
}

// Hold implements generation.
func (g *fakeGeneration) Hold() (release func()) {
	g.held.Add(1)
	return sync.OnceFunc(func() {
		g.held.Add(-1)
		g.l.wake()
	})
}

func (g *fakeGeneration) WaitForPredecessor(ctx context.Context) error {
	if g.before == nil {
		return nil
	}
	select {
	case <-g.before.ended:
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (g *fakeGeneration) CanMove(_, _ string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return isClosed(g.draining) && g.next != nil && !g.dead
}

func (g *fakeGeneration) Move(_ context.Context, name string, c net.Conn, format string, data []byte) error {
	if g.breaks != nil {
		g.breaks(format)
	}
	if !g.CanMove(name, format) || format == socketFormat && g.refuse() {
		return errors.New("refused")
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	select {
	case g.next.arrivals <- &reexec.Moved{Conn: c, Format: format, Data: data}:
		return nil
	case <-g.next.closed:
		return errors.New("the successor has ended")
	}
}

// Accept returns the connections of this generation.
func (g *fakeGeneration) Accept() (net.Conn, error) {
	select {
	case c := <-g.arrivals:
		return c, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

func (g *fakeGeneration) Close() error {
	g.once.Do(func() { close(g.closed) })
	return nil
}

func (g *fakeGeneration) Addr() net.Addr { return &net.TCPAddr{} }

// A recorder keeps log records.
type recorder struct {
	mu  sync.Mutex
	all []string
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) Handle(_ context.Context, x slog.Record) error {
	text := x.Message
	x.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, text)
	return nil
}

// newLine starts the first generation.
func newLine(t testing.TB, s *Service, makeBroker func() *broker) *line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{TB: t, address: ln.Addr().String(), broker: makeBroker, service: s, refuse: func() bool { return false }, log: &recorder{}}
	n.now = n.generation(nil)
	accepting := make(chan struct{})
	go func() { // joined by Cleanup
		defer close(accepting)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n.mu.Lock()
			g := n.now
			n.mu.Unlock()
			select {
			case g.arrivals <- c:
			case <-g.closed:
				_ = c.Close() // the generation was stopped
			}
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close() // ends the goroutine
		<-accepting
		n.stop()
		n.running.Wait()
	})
	return n
}

// generation starts a generation.
func (n *line) generation(before *fakeGeneration) *fakeGeneration {
	g := &fakeGeneration{
		line: n, b: n.broker(), before: before, arrivals: make(chan net.Conn),
		draining: make(chan struct{}), stopping: make(chan struct{}), resumed: make(chan struct{}),
		closed: make(chan struct{}), ended: make(chan struct{}), late: make(chan struct{}),
	}
	s := *n.service
	s.Name, s.Serve, s.Logger = "mqtt", g.b.serve, slog.New(n.log)
	g.l = newListener(g, g, &s)
	g.l.expects = before != nil
	n.running.Go(func() {
		defer close(g.ended)
		err := g.l.serve(g.drain)
		if cut := (*protocol.CutError)(nil); isClosed(g.late) && errors.As(err, &cut) {
			g.cut = cut.Work
		} else if err != nil {
			n.Errorf("serve: %v", err)
		}
	})
	return g
}

// drain waits until all connections have ended or moved.
func (g *fakeGeneration) drain() error {
	<-g.Draining()
	defer context.AfterFunc(g.deadline(), g.l.wake)()
	g.l.mu.Lock()
	defer g.l.mu.Unlock()
	for !isClosed(g.late) && (!isClosed(g.Draining()) || g.held.Load() > 0 || len(g.l.sessions) > 0 || len(g.l.waiting) > 0 || g.l.links > 0 || !g.l.admits) {
		g.l.changed.Wait()
	}
	if isClosed(g.late) {
		return reexec.ErrDrainDeadline
	}
	return nil
}

// deadline returns a context that ends at the drain deadline.
func (g *fakeGeneration) deadline() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the generation
		defer cancel()
		select {
		case <-g.late:
		case <-g.ended:
		}
	}()
	return ctx
}

// upgrade replaces the generation that accepts, and returns the old one.
func (n *line) upgrade() *fakeGeneration {
	n.mu.Lock()
	old := n.now
	next := n.generation(old)
	old.next, n.now = next, next
	n.mu.Unlock()
	close(old.draining)
	return old
}

// stop ends the last generation.
func (n *line) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !isClosed(n.now.draining) {
		close(n.now.draining)
		close(n.now.stopping)
	}
}
