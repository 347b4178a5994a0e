package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
	"github.com/cutover-go/cutover/reexec/internal/stream"
)

// A StreamService is any server with an accept loop as a [Service]. Serve or New must be set.
//
// The server needs to know nothing of upgrades. Connections that it has accepted go on in
// this generation, at most until the drain deadline, while the successor accepts. The
// listener is closed last, so the server accepts again if the successor dies. When the end
// of this process is waited for (see Upgrader.Stopping), a connection that has been silent
// for half a second is read no further: the server sees the end of its input, still sends
// its answers, and closes. At the drain deadline the rest is closed, and Serve logs it.
//
// A server that keeps idle clients, such as an HTTP stack, must end them by its protocol
// when the generation drains (Draining below, or [Upgrader.OnDrain]); otherwise each of them
// holds the old process until the drain deadline.
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
	// "Connection: close" in the next answer. It runs on a goroutine and must not block: the
	// service waits half a second for it. A panic is logged.
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
	if s.Serve == nil && s.New == nil { // before Ready: a successor must not replace a process that serves
		return nil, serviceFailed(s.Name, errors.New("StreamService.Serve and New are nil: set one of them"))
	}
	ln, err := u.Listen(ctx, s.Name, "", s.Address)
	if err != nil {
		return nil, err
	}
	server := &stream.Server{Serve: s.Serve, New: s.New, Draining: s.tell(u), EndSessions: s.EndSessions, Endings: u.endings, Drain: u.drained}
	return func(context.Context) error {
		r := server.Run(ln.(*gate.Listener))
		switch {
		case r.Err != nil:
			return serviceFailed(s.Name, r.Err)
		case errors.Is(r.Late, ErrDrainDeadline):
			return cutError(s.Name, r.Cut, r.Late)
		}
		return r.Late
	}, nil
}

// tell returns a function that calls Draining, and waits for its return at most callback.Grace.
func (s *StreamService) tell(u *Upgrader) func(draining bool) {
	if s.Draining == nil {
		return func(bool) {}
	}
	calls := &callback.Queue{}
	return func(draining bool) {
		calls.AddAlways(callback.Guard(u.log, "StreamService.Draining", func() { s.Draining(draining) }))
		calls.Wait(callback.Grace)
	}
}

// serviceFailed returns the error of a service whose server failed.
func serviceFailed(name string, err error) error {
	return fmt.Errorf("reexec: service %q: %w", name, err)
}

// cutError returns the error of a service whose clients were cut at the drain deadline. If
// clients is empty, the work of another service was cut.
func cutError(name string, clients []string, late error) error {
	if len(clients) == 0 {
		return nil
	}
	return &protocol.CutError{Service: name, Work: clients, Err: late}
}

// drained returns a channel that gets the result of Drain.
func (u *Upgrader) drained() <-chan error {
	drained := make(chan error, 1)
	go func() { drained <- u.Drain(context.Background()) }() // ends with the generation
	return drained
}
