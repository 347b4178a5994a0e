//go:build linux

package rehttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec"
)

// patience bounds whatever a test waits for: it says that something hangs.
const patience = 60 * time.Second

// A fakeProgram has generations in one process, with one listener. Connections
// move as between processes: by a descriptor for the same open file.
type fakeProgram struct {
	testing.TB
	ln      net.Listener
	refuse  func() bool          // whether a move fails
	prepare func(*http.Server)   // nil: as it is
	ending  atomic.Bool          // whoever takes connections is about to end
	drain   time.Duration        // 0: without turns
	format  string               // what generations receive, "http/1.1" if empty
	handler http.Handler         // nil: answer
	accepts chan *fakeGeneration // the one that accepts, buffered
	served  sync.WaitGroup       // generations that have not ended
	moved   atomic.Int64         // connections that have
	runs    sync.Map             // request number: *atomic.Int64, how often it was run
	turn    chan struct{}        // closed and replaced with each upgrade; of mu
	stepped chan struct{}        // something was done since the last upgrade, buffered
	mu      sync.Mutex
	number  int // of the generation that accepts
}

// fakeGeneration is a generation, and the listener of its server.
type fakeGeneration struct {
	*fakeProgram
	number             int
	t                  *tracker
	next               *fakeGeneration // set before draining is closed
	draining, stopping chan struct{}
	closed             chan struct{}
	in                 chan queued

	mu      sync.Mutex
	held    int
	changed chan struct{}
	last    func() // releases what Accept has returned last
	shut    sync.Once
}

type queued struct {
	c       net.Conn
	release func()
}

func newFakeGeneration(d *fakeProgram) *fakeGeneration {
	return &fakeGeneration{fakeProgram: d, draining: make(chan struct{}), stopping: make(chan struct{}), closed: make(chan struct{}), in: make(chan queued, 1000), changed: make(chan struct{})}
}

func newFakeProgram(t testing.TB) *fakeProgram {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &fakeProgram{TB: t, ln: ln, refuse: func() bool { return false }, accepts: make(chan *fakeGeneration, 1), turn: make(chan struct{}), stepped: make(chan struct{}, 1)}
	return d
}

// begin starts the first generation.
func (d *fakeProgram) begin() {
	first := d.startGeneration()
	d.accepts <- first
	go d.accept() // ends with the listener, which end closes
}

func (d *fakeProgram) accept() {
	for {
		c, err := d.ln.Accept()
		if err != nil {
			return
		}
		r := <-d.accepts
		r.in <- queued{c, r.Hold()}
		d.accepts <- r
	}
}

// startGeneration starts a generation that does not accept yet.
func (d *fakeProgram) startGeneration() *fakeGeneration {
	r := newFakeGeneration(d)
	srv := &http.Server{Handler: d.handler}
	if srv.Handler == nil {
		srv.Handler = http.HandlerFunc(d.answer)
	}
	if d.prepare != nil {
		d.prepare(srv)
	}
	s := &Server{HTTP: srv}
	s.t = newTracker(r, srv)
	r.t = s.t
	d.served.Add(1)
	go func() { // joined by end
		defer d.served.Done()
		if err := s.Serve(context.Background(), r); err != nil {
			d.Error(err)
		}
	}()
	return r
}

// upgrade replaces the generation that accepts.
func (d *fakeProgram) upgrade() {
	next := d.startGeneration()
	old := <-d.accepts
	old.next, next.number = next, old.number+1
	d.accepts <- next
	close(old.draining)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	close(d.turn)
	d.turn = make(chan struct{})
}

// progress lets an upgrade come.
func (d *fakeProgram) progress() {
	select {
	case d.stepped <- struct{}{}:
	default:
	}
}

// after waits for n upgrades.
func (d *fakeProgram) after(n int) {
	for range n {
		d.mu.Lock()
		turn := d.turn
		d.mu.Unlock()
		d.progress() // and not before: the upgrade that it brings counts
		select {
		case <-turn:
		case <-time.After(patience):
			d.Error("no upgrade comes")
			return
		}
	}
}

// end stops the last generation and waits for all.
func (d *fakeProgram) end() {
	d.Helper()
	d.ln.Close()
	r := <-d.accepts
	close(r.draining)
	close(r.stopping)
	d.accepts <- r
	over := make(chan struct{})
	go func() { d.served.Wait(); close(over) }() // ends here, or the test hangs
	select {
	case <-over:
	case <-time.After(patience):
		d.Fatal("a generation does not end")
	}
}

// answer counts how often each request is run, and says which it was.
func (d *fakeProgram) answer(w http.ResponseWriter, r *http.Request) {
	number := r.Header.Get("Number")
	runs, _ := d.runs.LoadOrStore(number, new(atomic.Int64))
	runs.(*atomic.Int64).Add(1)
	size := "unread"
	if r.Header.Get("Unread") == "" {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			d.Errorf("the body of request %s: %v", number, err)
		}
		size = strconv.FormatInt(n, 10)
	}
	if closed(r.Context().Done()) {
		size += " left"
	}
	fmt.Fprintf(w, "%s %s", number, size)
}

var errNotMoved = errors.New("connection stays with this process")

func (r *fakeGeneration) Ready(context.Context) error { return nil }
func (r *fakeGeneration) Stop()                       {}
func (r *fakeGeneration) Draining() <-chan struct{}   { return r.draining }
func (r *fakeGeneration) Stopping() <-chan struct{}   { return r.stopping }
func (r *fakeGeneration) Resumed() <-chan struct{}    { return nil }
func (r *fakeGeneration) DrainTime() time.Duration    { return r.drain }

func (r *fakeGeneration) Receive(string, ...string) error { return nil }

func (r *fakeGeneration) ReceiveIdle(string, func([]byte) time.Duration, ...string) error { return nil }

func (r *fakeGeneration) CanMove(name, what string) bool {
	return closed(r.draining) && !r.ending.Load() && r.next != nil && name == "http" && (what == r.format || r.format == "")
}

func (r *fakeGeneration) Move(_ context.Context, name string, c net.Conn, what string, data []byte) error {
	err := r.move(name, c, what, data)
	if err == nil {
		_ = c.Close()
	}
	return err
}

func (r *fakeGeneration) move(name string, c net.Conn, what string, data []byte) error {
	if !r.CanMove(name, what) || r.refuse() {
		return errNotMoved
	}
	to := <-r.accepts
	defer func() { r.accepts <- to }()
	if closed(to.draining) { // the last one
		return errNotMoved
	}
	f, err := fd.DupOf(c.(*net.TCPConn))
	if err != nil {
		r.Error(err)
		return errors.Join(errNotMoved, err)
	}
	there, err := f.Conn()
	if err != nil {
		r.Error(err)
	}
	r.moved.Add(1)
	to.in <- queued{&reexec.Moved{Conn: there, Format: what, Data: data}, to.Hold()}
	return nil
}

func (r *fakeGeneration) Offer(name string, c net.Conn, what string, data []byte, done func(error)) (withdraw func() bool) {
	var decided atomic.Bool
	go func() { // ends by itself
		if decided.CompareAndSwap(false, true) {
			done(r.move(name, c, what, data))
		}
	}()
	return func() bool { return decided.CompareAndSwap(false, true) }
}

func (r *fakeGeneration) Hold() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held++
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held--
		close(r.changed)
		r.changed = make(chan struct{})
	})
}

func (r *fakeGeneration) Drain(ctx context.Context) error {
	<-r.draining
	for {
		r.mu.Lock()
		held, changed := r.held, r.changed
		r.mu.Unlock()
		if held == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *fakeGeneration) Name() string   { return "http" }
func (r *fakeGeneration) Addr() net.Addr { return r.ln.Addr() }
func (r *fakeGeneration) Close() error {
	r.shut.Do(func() { close(r.closed) })
	return nil
}

func (r *fakeGeneration) Accept() (net.Conn, error) {
	if r.last != nil {
		r.last()
	}
	select {
	case q := <-r.in:
		r.last = q.release
		return q.c, nil
	case <-r.closed:
		r.last = nil
		return nil, net.ErrClosed
	}
}
