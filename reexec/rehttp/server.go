package rehttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// A Server serves like [Serve]. In addition it tells the program when hijacked connections
// should end, counts connections and requests, and supports programs with their own accept
// loops. Upgrader and HTTP must be set. No field may change after the first call of a
// method.
type Server struct {
	Upgrader *reexec.Upgrader
	HTTP     *http.Server // changed as by [Serve]

	// Goodbye, if not nil, is called for each open hijacked connection when this
	// generation begins to drain. The program can then end the connection as its protocol
	// demands (a WebSocket with 1001, Going Away). Each call runs on a new goroutine,
	// concurrently with the handler. A panic is logged to HTTP.ErrorLog, like net/http does
	// for handlers. Handlers with long answers should end by Upgrader.OnDrain.
	// Goodbye is not called for connections of package rews.
	Goodbye func(net.Conn)

	secure bool // Serve serves TLS

	once sync.Once
	t    *tracker
	err  error // set if t is nil after once
}

// generation is an upgrader, or another Engine in tests of this package.
type generation = protocol.Engine

// upgrader is an Upgrader as a generation.
type upgrader struct {
	protocol.Engine
	of *reexec.Upgrader
}

// tracker returns the tracker of the HTTP server. The first call takes the server over.
func (s *Server) tracker() (*tracker, error) {
	s.once.Do(func() {
		if s.t == nil {
			s.t, s.err = trackerOf(upgrader{protocol.Of(s.Upgrader), s.Upgrader}, s.HTTP)
		}
		if s.err == nil && s.Goodbye != nil {
			s.t.mu.Lock()
			defer s.t.mu.Unlock()
			s.t.goodbyes = append(s.t.goodbyes, s.Goodbye)
		}
	})
	return s.t, s.err
}

// Serve serves ln like the function [Serve].
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	t, err := s.tracker()
	if err != nil {
		return err
	}
	defer t.watch()()
	ln, _ = t.wrap(ln) // fails after the Ready of another server; the connections then do not move
	served := t.serve(ln, s.secure)

	if err := t.u.Ready(ctx); err != nil {
		_ = ln.Close() // makes the accept loop return
		<-served
		if errors.Is(err, reexec.ErrStopped) {
			err = nil // the process was told to stop before it served, or was only tried
		}
		return errors.Join(err, s.HTTP.Close())
	}
	defer context.AfterFunc(ctx, t.u.Stop)()
	select {
	case <-t.u.Draining():
	case err := <-served:
		switch {
		case closed(t.u.Draining()): // a stop has closed the listener
		case errors.Is(err, http.ErrServerClosed):
			return err // the program has called Shutdown, which waits for the answers
		case t.isShared():
			return err // the server goes on with its other listeners
		default:
			return errors.Join(err, s.HTTP.Close())
		}
	}
	return t.finish(context.Background())
}

// Wrap returns the listener for a program that has its own accept loop, or that calls
// HTTP.Serve or HTTP.ServeTLS itself. The program calls Drain when the
// generation drains, see [reexec.Upgrader.OnDrain].
//
// Call Wrap before Upgrader.Ready. After Ready, Wrap returns the listener and an error: the
// connections of the listener do not move. A program that calls Serve for several servers
// calls Wrap for each of them before the first Serve, because Serve calls Ready.
func (s *Server) Wrap(ln net.Listener) (net.Listener, error) {
	t, err := s.tracker()
	if err != nil {
		return nil, err
	}
	return t.wrap(ln)
}

// Drain ends the server of a program that uses Wrap, as Serve does when this generation
// ends. It moves connections, waits for the answers, and closes the listeners and the HTTP
// server. It returns the same errors as Serve. When ctx ends, Drain closes the remaining
// connections.
func (s *Server) Drain(ctx context.Context) error {
	t, err := s.tracker()
	if err != nil {
		return err
	}
	defer t.watch()()
	return t.finish(ctx)
}

// Counts returns the numbers of connections and requests of the server.
func (s *Server) Counts() Counts {
	t, err := s.tracker()
	if err != nil {
		return Counts{}
	}
	return t.counts()
}

// Counts has the numbers of connections and requests of a server.
type Counts struct {
	Idle     int // connections without a request
	Requests int // requests in progress
	Hijacked int // hijacked connections that are not closed
}
