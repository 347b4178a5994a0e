package stream

import (
	"context"
	"errors"
	"net"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// Server has the functions of a server, see reexec.StreamService.
type Server struct {
	Serve       func(net.Listener) error
	New         func() (serve func(net.Listener) error, shutdown func(context.Context) error) // if Serve is nil
	Draining    func(draining bool)
	EndSessions bool

	Endings *endings.Current
	Drain   func() <-chan error // gets the result of Upgrader.Drain
}

// Result is the end of a server.
type Result struct {
	Err  error    // the server failed
	Late error    // the error of Drain, if the server did not fail or end before
	Cut  []string // addresses of the clients whose connections were closed at the drain deadline
}

// Run serves the connections of ln until the generation has drained, or the server ends.
func (s *Server) Run(ln *gate.Listener) Result {
	l := newSessions(ln, s.Endings)
	over := make(chan struct{})
	defer close(over)
	go l.watch(s.Draining, s.EndSessions, over) // ends with over
	if s.Serve != nil {
		return s.accept(l)
	}
	return s.acceptGracefully(l)
}

// accept runs Serve until this generation has drained.
func (s *Server) accept(l *sessions) Result {
	e := s.Endings.Load() // before Serve begins
	served := startServing(s.Serve, l)
	drained := s.Drain()
	var resumed <-chan struct{} // not nil after a server that has ended in a drain
	for {
		select {
		case <-resumed:
			resumed = nil
			if !l.closed.Load() && l.accepting.Load() == 0 { // otherwise it accepts no more, or on other goroutines
				e, served = s.Endings.Load(), startServing(s.Serve, l)
			}
		case err := <-served:
			// After a drain err says that the listener is closed, or no more. This generation may serve again by now.
			if served, resumed = nil, e.WhenDraining(); resumed != nil {
				continue
			}
			if ended, err := s.ended(l, err); ended {
				return Result{Err: err}
			}
		case late := <-drained:
			r := l.end(late)
			_ = l.Listener.Close() // the server may have closed it
			if served != nil {
				<-served // says that the listener is closed
			}
			return r
		}
	}
}

// startServing runs serve and returns the channel of its result.
func startServing(serve func(net.Listener) error, ln net.Listener) <-chan error {
	served := make(chan error, 1)
	go func() { served <- serve(ln) }() // ends when ln is closed
	return served
}

// ended reports whether the result err of Serve, outside of a drain, is the end of the service, and
// returns its error.
func (s *Server) ended(l *sessions, err error) (bool, error) {
	switch {
	case err == nil && !l.closed.Load(): // the server accepts on other goroutines
		return false, nil
	case err == nil || errors.Is(err, net.ErrClosed) && l.closed.Load():
		return true, nil
	}
	return true, err
}

// end returns the result of a server that has drained. At the drain deadline it cuts the
// open connections.
func (l *sessions) end(late error) Result {
	if errors.Is(late, drain.ErrDeadline) {
		return Result{Late: late, Cut: l.cut()}
	}
	return Result{Late: late}
}
