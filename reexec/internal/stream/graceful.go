package stream

import (
	"context"
	"net"
	"sync"

	"github.com/cutover-go/cutover/reexec/internal/distributor"
	"github.com/cutover-go/cutover/reexec/internal/endings"
)

// This file serves by servers that shut down gracefully. Such a shutdown cuts a connection
// that Accept has returned and the server does not know yet. So each server has a listener of
// a distributor, and is shut down when this listener gets no more connections and the server
// has used each one that it got.

// acceptGracefully is accept for servers of New.
func (s *Server) acceptGracefully(l *sessions) Result {
	d := distributor.New(l)
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	var shutdowns, accepting sync.WaitGroup
	current := openServer(d, s.New)
	accepting.Go(d.Run) // ends when the listener is closed
	drained := s.Drain()
	for {
		e := s.Endings.Load()
		select {
		case err := <-current.served:
			current.served = nil
			if err != nil && !endings.Closed(e.Draining) { // as in ended
				_, _ = l.Listener.Close(), current.Close() // the error of the server says enough
				accepting.Wait()
				return Result{Err: err}
			}
			continue
		case <-e.Draining:
		}
		leaving := current
		current = openServer(d, s.New)
		shutdowns.Go(func() { leaving.leave(ctx) }) // ends with the drain
		select {
		case <-e.Resumed:
			continue
		case late := <-drained:
			r := l.end(late)
			if late != nil {
				cut()
			}
			_ = l.Listener.Close()
			accepting.Wait()
			shutdowns.Wait()
			current.leave(ctx) // it has no connections
			return r
		}
	}
}

// gracefulServer is one server with its listener.
type gracefulServer struct {
	*distributor.Listener
	shutdown func(context.Context) error
	served   <-chan error   // result of the server, nil once it was read
	unused   sync.WaitGroup // connections that the server has not used
	first    sync.Once
	begun    chan struct{} // closed by the first Accept: the server can be shut down
}

// openServer starts a server that gets the connections of d from now on.
func openServer(d *distributor.Distributor, of func() (func(net.Listener) error, func(context.Context) error)) *gracefulServer {
	serve, shutdown := of()
	r := &gracefulServer{shutdown: shutdown, begun: make(chan struct{})}
	r.Listener = d.Open(func(c net.Conn) net.Conn {
		r.unused.Add(1)
		return noteFirstUse(c, r.unused.Done)
	})
	r.served = startServing(func(ln net.Listener) error {
		defer r.begin() // a server that does not accept
		return serve(ln)
	}, r)
	return r
}

// Accept returns the next connection.
func (r *gracefulServer) Accept() (net.Conn, error) {
	r.begin()
	return r.Listener.Accept()
}

func (r *gracefulServer) begin() { r.first.Do(func() { close(r.begun) }) }

// leave shuts the server down when it has used each of its connections. The listener gets no
// more of them. At the end of ctx it does not wait for the clients.
func (r *gracefulServer) leave(ctx context.Context) {
	<-r.begun
	distributor.Wait(ctx, &r.unused)
	_ = r.shutdown(ctx) // connections that are left are cut at the drain deadline
	_ = r.Close()       // if shutdown has not
	if r.served != nil {
		select {
		case <-r.served:
		case <-ctx.Done():
		}
	}
}
