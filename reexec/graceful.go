package reexec

import (
	"context"
	"errors"
	"net"
	"sync"
)

// This file serves a StreamService whose servers shut down gracefully. Such a shutdown cuts
// a connection that Accept has returned and the server does not know yet. So each server has
// a serverListener, and is shut down when this listener gets no more connections and the
// server has used each one that it got.

// distributor accepts connections and passes each to the listener of the current server.
type distributor struct {
	*sessions
	mu      sync.Mutex
	current *serverListener
}

// acceptGracefully is accept for servers of New.
func (s *StreamService) acceptGracefully(l *sessions) error {
	d := &distributor{sessions: l}
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	var shutdowns, accepting sync.WaitGroup
	current := d.open(s.New())
	accepting.Go(d.accept) // ends when the listener is closed
	drained := l.u.drained()
	for {
		e := l.u.endings.Load()
		select {
		case err := <-current.served:
			current.served = nil
			if err != nil {
				_, _ = l.Listener.Close(), current.Close() // the error of the server says enough
				accepting.Wait()
				return s.failure(err)
			}
			continue
		case <-e.draining:
		}
		leaving := current
		current = d.open(s.New())
		shutdowns.Go(func() { leaving.leave(ctx) }) // ends with the drain
		select {
		case <-e.resumed:
			continue
		case late := <-drained:
			err := l.cut(s.Name, late)
			if late != nil {
				cut()
			}
			_ = l.Listener.Close()
			accepting.Wait()
			shutdowns.Wait()
			current.leave(ctx) // it has no connections
			return err
		}
	}
}

// open makes a listener for a server, which gets the connections from now on.
func (d *distributor) open(serve func(net.Listener) error, shutdown func(context.Context) error) *serverListener {
	r := &serverListener{distributor: d, shutdown: shutdown, arrivals: make(chan acceptResult), begun: make(chan struct{}), closed: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = r
	r.served = startServing(func(ln net.Listener) error {
		defer r.begin() // a server that does not accept
		return serve(ln)
	}, r)
	return r
}

// accept accepts until the listener is closed. It passes other errors on, because the server
// knows how long to wait after each.
func (d *distributor) accept() {
	for {
		c, err := d.sessions.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		d.pass(c, err)
	}
}

func (d *distributor) pass(c net.Conn, err error) {
	d.mu.Lock()
	r := d.current
	if err == nil {
		r.unused.Add(1)
		c = noteFirstUse(c, r.unused.Done)
	}
	d.mu.Unlock()
	select {
	case r.arrivals <- acceptResult{c, err}:
	case <-r.closed:
		if err == nil {
			_ = c.Close() // the server has failed, or this is the drain deadline
		}
	}
}

// serverListener is the net.Listener of one server.
type serverListener struct {
	*distributor
	shutdown func(context.Context) error
	served   <-chan error // result of the server, nil once it was read
	arrivals chan acceptResult
	unused   sync.WaitGroup // connections that the server has not used
	first    sync.Once
	begun    chan struct{} // closed by the first Accept: the server can be shut down
	once     sync.Once
	closed   chan struct{}
}

type acceptResult struct {
	conn net.Conn
	err  error
}

// Accept returns the next connection of the distributor.
func (r *serverListener) Accept() (net.Conn, error) {
	r.begin()
	select {
	case a := <-r.arrivals:
		return a.conn, a.err
	case <-r.closed:
		return nil, &net.OpError{Op: "accept", Net: r.Addr().Network(), Addr: r.Addr(), Err: net.ErrClosed}
	}
}

func (r *serverListener) begin() { r.first.Do(func() { close(r.begun) }) }

// Close closes this listener. The listener of the Upgrader stays open.
func (r *serverListener) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// leave shuts the server down when it has used each of its connections. The listener gets no
// more of them. At the end of ctx it does not wait for the clients.
func (r *serverListener) leave(ctx context.Context) {
	<-r.begun
	used := make(chan struct{})
	go func() { // ends when the server has used or closed each connection
		r.unused.Wait()
		close(used)
	}()
	select {
	case <-used:
	case <-ctx.Done():
	}
	_ = r.shutdown(ctx) // connections that are left are cut at the drain deadline
	_ = r.Close()       // if shutdown has not
	if r.served != nil {
		select {
		case <-r.served:
		case <-ctx.Done():
		}
	}
}
