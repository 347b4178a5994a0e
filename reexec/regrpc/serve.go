package regrpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/distributor"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// coverAge is the age at which connections get GOAWAY that a draining generation accepts
// because its successor has died.
const coverAge = time.Second

// stopGrace limits the wait for grpc.Server.Stop, which waits for handlers in some cases.
const stopGrace = time.Second

// upgrader has the methods of *reexec.Upgrader that this package calls.
type upgrader interface {
	Draining() <-chan struct{}
	Resumed() <-chan struct{}
	Drain(context.Context) error
	Hold() (release func())
}

// engine is an Upgrader as an upgrader.
type engine struct {
	protocol.Engine
	of *reexec.Upgrader
}

type service struct {
	name     string
	u        upgrader
	register func(*grpc.Server)
	options  []grpc.ServerOption
	calls    calls
}

// server is one grpc.Server with its listener.
type server struct {
	*listener
	grpc   *grpc.Server
	health *healthServer
	served chan error
}

// serve serves until this generation was replaced or stopped and its calls are answered, or
// cut at the drain deadline.
func (s *service) serve(ln net.Listener) error {
	d := distributor.New(ln)
	late, cut := context.WithCancel(context.Background())
	defer cut()
	var leaves, accepting sync.WaitGroup
	current := s.start(d)
	accepting.Go(d.Run) // ends when ln is closed
	drained := make(chan error, 1)
	go func() { drained <- s.u.Drain(context.Background()) }() // ends with the generation
	for {
		// In this order: a channel of an earlier ending only costs a server.
		resumed := s.u.Resumed()
		select {
		case err := <-current.served:
			_, _ = ln.Close(), current.Close() // the result of the server says enough
			accepting.Wait()
			return s.failure(err)
		case <-s.u.Draining():
		}
		old := current
		current = s.start(d, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: coverAge}))
		leaves.Go(func() { old.leave(late) })
		select {
		case <-resumed:
			cover := current
			current = s.start(d)
			leaves.Go(func() { cover.leave(late) })
		case err := <-drained:
			outcome := s.outcome(err)
			if err != nil {
				cut()
			}
			_ = ln.Close() // accepts no more
			accepting.Wait()
			current.leave(late)
			leaves.Wait()
			return outcome
		}
	}
}

// start starts a server that gets the connections from now on.
func (s *service) start(d *distributor.Distributor, more ...grpc.ServerOption) *server {
	first := []grpc.ServerOption{grpc.ConnectionTimeout(handshakeTimeout),
		grpc.ChainUnaryInterceptor(s.calls.unary), grpc.ChainStreamInterceptor(s.calls.stream)}
	r := &server{grpc: grpc.NewServer(slices.Concat(first, s.options, more)...), served: make(chan error, 1)}
	s.register(r.grpc)
	r.health = registerHealth(r.grpc)
	r.listener = openListener(d)
	go func() { r.served <- r.grpc.Serve(r.listener) }() // ends with leave
	return r
}

// leave sends GOAWAY to the clients and returns when they have left, or their connections
// were closed at the end of ctx. The server gets no more connections.
func (r *server) leave(ctx context.Context) {
	distributor.Wait(ctx, &r.unknown)
	stopped := make(chan struct{})
	go func() { // ends when the last handler has returned
		defer close(stopped)
		r.grpc.GracefulStop()
	}()
	// GOAWAY follows the last handshake. A client that reads NOT_SERVING before GOAWAY would
	// fail its calls instead of dialing.
	distributor.Wait(ctx, &r.handshakes)
	r.health.leave()
	select {
	case <-stopped:
		return
	case <-ctx.Done():
	}
	cut := make(chan struct{})
	go func() { // as above
		defer close(cut)
		r.grpc.Stop()
	}()
	select {
	case <-cut:
	case <-time.After(stopGrace):
	}
}

// outcome returns the result of Drain as a service reports it.
func (s *service) outcome(err error) error {
	if !errors.Is(err, reexec.ErrDrainDeadline) {
		return err
	}
	work := s.calls.list()
	if len(work) == 0 {
		return nil // the work of another service was cut
	}
	return &protocol.CutError{Service: s.name, Work: work, Err: err}
}

func (s *service) failure(err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return nil // register has kept the server, or the program has closed the listener
	}
	return fmt.Errorf("regrpc: service %q: %w", s.name, err)
}
