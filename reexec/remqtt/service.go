package remqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// A Service is an MQTT server as a [reexec.Service], whose sessions move to the next process.
type Service struct {
	Name    string // of the listener: FileDescriptorName= of the socket unit
	Address string // bound if no listener was passed: "host:port", or the path of a unix socket

	// Serve accepts connections until Accept returns net.ErrClosed. If it returns an error
	// earlier, the service has failed. If it returns nil and has not closed the listener, the
	// server accepts on other goroutines.
	Serve func(net.Listener) error

	// Login is the user of this package in the server, for retained messages.
	Login Login

	// KeepsRetained says that each process of the server finds the retained messages by
	// itself, for example in a database. Then this package does not move them.
	KeepsRetained bool

	// TLSConfig, if set, makes this package end TLS. Clients cannot move then, but clients of
	// MQTT 5 are told to come again by a DISCONNECT packet.
	TLSConfig *tls.Config

	Logger *slog.Logger // nil: silent

	at func(step) // of tests; nil: none
}

// Login is the user that reads and publishes all retained messages: the server has to let it
// subscribe to "#", to topics that begin with "$cutover/", and publish to every topic. The
// zero value has no user name.
type Login struct{ Username, Password string }

// Stream returns a Service with serve as its accept loop:
//
//	remqtt.Stream("mqtt", ":1883", server.Serve)
func Stream(name, address string, serve func(net.Listener) error) *Service {
	return &Service{Name: name, Address: address, Serve: serve}
}

// engine is an Upgrader as a generation.
type engine struct {
	protocol.Engine
	of *reexec.Upgrader
}

func (e engine) WaitForPredecessor(ctx context.Context) error { return e.of.WaitForPredecessor(ctx) }

// Listen claims the listener.
func (s *Service) Listen(ctx context.Context, u *reexec.Upgrader) (serve func(context.Context) error, err error) {
	if s.Serve == nil {
		return nil, fmt.Errorf("remqtt: service %q: Serve is not set", s.Name)
	}
	ln, err := u.Listen(ctx, s.Name, "", s.Address)
	if err != nil {
		return nil, err
	}
	l := newListener(ln, engine{protocol.Of(u), u}, s)
	state := "mqtt sessions of " + s.Name
	err = errors.Join(
		u.Receive(s.Name, linkFormat, socketFormat, newFormat),
		u.Save(state, func() (reexec.State, error) { return reexec.State{Version: 1, Data: []byte{'1'}}, nil }),
		u.Restore(state, func(reexec.State) error {
			l.expects = true // the predecessor uses this package
			return nil
		}),
	)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return l.serve(func() error { return u.Drain(context.Background()) }) }, nil
}

// serve runs the server until this generation has drained.
func (l *listener) serve(drain func() error) error {
	go l.accept()        // ends when the listener is closed
	go l.awaitSessions() // as accept
	watched := make(chan struct{})
	go func() { // as accept
		defer close(watched)
		l.watch()
	}()
	served, drained := make(chan error, 1), make(chan error, 1)
	go func() { served <- l.service.Serve(l) }() // ends when the listener is closed
	go func() { drained <- drain() }()           // ends with the generation
	for {
		select {
		case err := <-served:
			served = nil
			if err == nil && !l.isClosed() || isClosed(l.g.Draining()) {
				continue
			}
			_ = l.Close() // as below
			if err == nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("remqtt: service %q: %w", l.name, err)
		case late := <-drained:
			cut := l.cut(late)
			_ = l.Close() // the server may have closed it
			<-watched
			if served != nil {
				<-served // says that the listener is closed
			}
			return cut
		}
	}
}

func (l *listener) isClosed() bool { return isClosed(l.over) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// cut ends the open sessions after the error late of Drain, and reports them.
func (l *listener) cut(late error) error {
	if !errors.Is(late, reexec.ErrDrainDeadline) {
		return late
	}
	e := &protocol.CutError{Service: l.name, Err: late}
	for _, s := range l.list() {
		if s.client != nil {
			e.Work = append(e.Work, s.client.RemoteAddr().String())
			_ = s.client.Close() // the server sees it, and closes, too
		}
	}
	if len(e.Work) == 0 {
		return nil // the work of another service was cut
	}
	return e
}

// watch moves or ends the sessions when this generation ends, and again if it serves on and
// ends later.
//
// It holds this generation until the sessions have left, because clients that are not connected, and
// those whose sockets are on their way, hold nothing.
func (l *listener) watch() {
	release := l.g.Hold()
	for l.watchOnce(release) {
		next := l.g.Hold() // before release, because the next drain may have begun
		release()
		release = next
	}
	release()
}

// watchOnce is watch for one end. It calls release when the sessions have left. It returns false when
// the listener is closed.
func (l *listener) watchOnce(release func()) bool {
	resumed := l.g.Resumed() // before Draining
	draining, stopping := l.g.Draining(), l.g.Stopping()
	if draining != l.g.Draining() {
		return true // the generation has resumed meanwhile
	}
	select {
	case <-draining:
	case <-l.over:
		return false
	}
	result := l.leave(stopping, resumed)
	if result == remain {
		l.dismissAll(isClosed(stopping))
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	if result != alone {
		late.Stop()
		release()
	}
	select {
	case <-stopping: // sessions that an older process has given, or that came when the successor had died
		l.dismissAll(true)
	case <-late.C: // another process is the main one
		l.dismissAll(false)
	case <-resumed:
		return true
	case <-l.over:
		return false
	}
	release()
	select {
	case <-resumed:
		return true
	case <-l.over:
		return false
	}
}
