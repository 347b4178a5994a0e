// Package packet serves a packet socket by any server, and knows the clients whose datagrams
// hold the generation.
package packet

import (
	"errors"
	"net"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// Server has the function of a server, see reexec.PacketService.
type Server struct {
	Serve   func(net.PacketConn) error
	Endings *endings.Current
	Drain   func() <-chan error // gets the result of Upgrader.Drain
}

// Result is the end of a server.
type Result struct {
	Err  error    // the server failed
	Late error    // the error of Drain, if the server did not fail or end before
	Cut  []string // addresses of the clients that were cut at the drain deadline
}

// Socket has the methods of the sockets that ListenPacket returns.
type Socket interface {
	gate.Datagrams
	Ended() bool
}

// endable is a socket that knows whether it was closed.
type endable interface {
	Close() error
	Ended() bool
}

// clients are the clients whose datagrams hold this generation.
type clients interface {
	watch(over <-chan struct{})
	cut() []string
}

// Run serves c until the generation has drained, or the server ends. q has the datagrams
// without an answer.
func (s *Server) Run(c Socket, q *Unanswered) Result { return s.read(q.on(c), c, q) }

// RunFlows is Run for a socket with flows.
func (s *Server) RunFlows(p *Peers) Result { return s.read(p, p, p) }

// read runs Serve on pc, which reads c, until this generation has drained.
func (s *Server) read(pc net.PacketConn, c endable, q clients) Result {
	e := s.Endings.Load() // before Serve begins
	served, drained, over := s.start(pc), s.Drain(), make(chan struct{})
	defer close(over)
	go q.watch(over)            // ends with over
	var resumed <-chan struct{} // not nil after a server that has ended in a drain
	for {
		select {
		case <-resumed:
			resumed = nil
			if !c.Ended() { // otherwise the server has nothing to read
				e, served = s.Endings.Load(), s.start(pc)
			}
		case err := <-served:
			// After a drain err says that the socket is closed, or no more. This generation may serve again by now.
			if served, resumed = nil, e.WhenDraining(); resumed != nil {
				continue
			}
			switch {
			case err == nil && !c.Ended(): // the server reads on other goroutines
			case err == nil || errors.Is(err, net.ErrClosed) && c.Ended():
				return Result{}
			default:
				return Result{Err: err}
			}
		case late := <-drained:
			r := Result{Late: late}
			if errors.Is(late, drain.ErrDeadline) {
				r.Cut = q.cut()
			}
			_ = c.Close() // the server may have closed it
			if served != nil {
				<-served // says that the socket is closed
			}
			return r
		}
	}
}

// start runs Serve on pc and returns the channel of its result.
func (s *Server) start(pc net.PacketConn) <-chan error {
	served := make(chan error, 1)
	go func() { served <- s.Serve(pc) }() // ends when the socket of pc is closed
	return served
}
