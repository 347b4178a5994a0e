package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// A StreamService is any server with an accept loop as a [Service]. Serve or New must be set.
//
// The server needs to know nothing of upgrades. Connections that it has accepted go on in
// this generation, at most until the drain deadline, while the successor accepts. The
// listener is closed last, so the server accepts again if the successor dies. When the end
// of this process is waited for (see Upgrader.Stopping), a connection that has been silent
// for half a second is read no further: the server sees the end of its input, still sends
// its answers, and closes. At the drain deadline the rest is closed and reported as a
// [CutError].
//
// A server that keeps idle clients, such as an HTTP stack, must end them by its protocol
// when Upgrader.Draining is closed; otherwise each of them holds the old process until the
// drain deadline.
type StreamService struct {
	Name    string // of the listener: FileDescriptorName= of the socket unit
	Address string // bound if no listener was passed: "host:port", or the path of a unix socket

	// Serve accepts connections until Accept returns net.ErrClosed. If it returns an error
	// earlier, the service has failed. If it returns nil and has not closed the listener, the
	// server accepts on other goroutines.
	Serve func(net.Listener) error

	// New, used if Serve is nil, makes a server that can be shut down gracefully, and returns
	// its functions. serve is like Serve. shutdown tells the clients to leave, as GOAWAY
	// does, and waits until they have left or ctx ends, at the drain deadline. It is called
	// when this generation drains and the server knows each of its connections: it has called
	// Accept, and used each connection by a first Read, Write, deadline or Close. A new server
	// is made then for the case that this generation accepts again, so New is called several
	// times.
	New func() (serve func(net.Listener) error, shutdown func(ctx context.Context) error)

	// Draining, if set, is called with true when this generation drains, and with false if
	// it accepts again. It is for servers that ask their clients to leave by a flag, such as
	// "Connection: close" in the next answer. It is called on a goroutine and must not block.
	Draining func(draining bool)

	// EndSessions ends all connections when a successor has taken over, as a stop does, but
	// without waiting for silence. It is for servers whose clients talk to each other through
	// the memory of the process, such as chat and MQTT: a client of this generation would not
	// hear the clients of the next one. Clients then connect again. SHARED.md has the other
	// ways.
	EndSessions bool
}

// Stream returns a [StreamService] with serve as its accept loop:
//
//	reexec.Stream("smtp", ":25", smtpServer.Serve)
func Stream(name, address string, serve func(net.Listener) error) *StreamService {
	return &StreamService{Name: name, Address: address, Serve: serve}
}

// Listen claims the listener.
func (s *StreamService) Listen(ctx context.Context, u *Upgrader) (serve func(context.Context) error, err error) {
	ln, err := u.Listen(ctx, s.Name, "", s.Address)
	if err != nil {
		return nil, err
	}
	l := newSessions(u, ln.(*gate.Listener))
	return func(context.Context) error {
		over := make(chan struct{})
		defer close(over)
		go l.attend(s.Draining, s.EndSessions, over) // ends with over
		if s.Serve != nil {
			return s.accept(l)
		}
		return s.acceptGracefully(l)
	}, nil
}

// accept runs Serve until this generation has drained.
func (s *StreamService) accept(l *sessions) error {
	served := startServing(s.Serve, l)
	drained := l.u.drained()
	for {
		select {
		case err := <-served:
			served = nil
			if ended, err := s.ended(l, err); ended {
				return err
			}
		case late := <-drained:
			cut := l.cut(s.Name, late)
			_ = l.Listener.Close() // the server may have closed it
			if served != nil {
				<-served // says that the listener is closed
			}
			return cut
		}
	}
}

// startServing runs serve and returns the channel of its result.
func startServing(serve func(net.Listener) error, ln net.Listener) <-chan error {
	served := make(chan error, 1)
	go func() { served <- serve(ln) }() // ends when ln is closed
	return served
}

// drained returns a channel that gets the result of Drain.
func (u *Upgrader) drained() <-chan error {
	drained := make(chan error, 1)
	go func() { drained <- u.Drain(context.Background()) }() // ends with the generation
	return drained
}

// ended reports whether the result err of Serve is the end of the service, and returns its
// error.
func (s *StreamService) ended(l *sessions, err error) (bool, error) {
	switch {
	case closed(l.u.Draining()): // err says that the listener is closed, or no more
		return false, nil
	case err == nil && !l.closed.Load(): // the server accepts on other goroutines
		return false, nil
	case err == nil || errors.Is(err, net.ErrClosed) && l.closed.Load():
		return true, nil
	}
	return true, s.failure(err)
}

func (s *StreamService) failure(err error) error {
	return fmt.Errorf("reexec: service %q: %w", s.Name, err)
}
