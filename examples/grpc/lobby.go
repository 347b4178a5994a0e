package main

import (
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc"

	"github.com/cutover-go/cutover/reexec"
)

// A lobby takes connections from a listener of the Upgrader and gives each to the
// current grpc.Server, which accepts in a separate room.
type lobby struct {
	u  *reexec.Upgrader
	ln net.Listener

	mu   sync.Mutex
	room *room // of the server that gets new connections
}

func newLobby(u *reexec.Upgrader, ln net.Listener) *lobby { return &lobby{u: u, ln: ln} }

// open gives new connections to r from now on.
func (l *lobby) open(r *grpc.Server) *room {
	n := &room{addr: l.ln.Addr(), arrivals: make(chan arrival), closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room = n
	go func() { _ = r.Serve(n) }() // ends with Stop or GracefulStop, and has no other reason to
	return n
}

// receive accepts until ln is closed. An error like too many open files is the
// server's, who knows how to wait.
func (l *lobby) receive() {
	for {
		c, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.give(c, err)
	}
}

func (l *lobby) give(c net.Conn, err error) {
	l.mu.Lock()
	n := l.room
	if err == nil {
		n.unsettled.Add(1)
		c = &guest{Conn: c, settled: sync.OnceFunc(n.unsettled.Done), release: l.u.Hold()}
	}
	l.mu.Unlock()
	select {
	case n.arrivals <- arrival{c, err}:
	case <-n.closed: // at the drain deadline
		if err == nil {
			_ = c.Close() // cut like the others
		}
	}
}

// A room is the net.Listener of one grpc.Server.
type room struct {
	addr      net.Addr
	arrivals  chan arrival
	unsettled sync.WaitGroup // connections that the server may not have in its care yet
	close     sync.Once
	closed    chan struct{}
}

type arrival struct {
	conn net.Conn
	err  error
}

func (n *room) Accept() (net.Conn, error) {
	select {
	case a := <-n.arrivals:
		return a.conn, a.err
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close leaves the listener behind the lobby open.
func (n *room) Close() error {
	n.close.Do(func() { close(n.closed) })
	return nil
}

func (n *room) Addr() net.Addr { return n.addr }

// settled returns when GracefulStop would find every connection. Nothing may be on its
// way into the room any more.
func (n *room) settled() { n.unsettled.Wait() }

// A guest is a connection that holds the generation until it is closed. grpc reads and
// writes it after its look at whether GracefulStop was called, and not before.
type guest struct {
	net.Conn
	settled, release func()
}

func (g *guest) Read(b []byte) (int, error) {
	g.settled()
	return g.Conn.Read(b)
}

func (g *guest) Write(b []byte) (int, error) {
	g.settled()
	return g.Conn.Write(b)
}

func (g *guest) Close() error {
	g.settled()
	defer g.release()
	return g.Conn.Close()
}
