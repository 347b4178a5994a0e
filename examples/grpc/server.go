package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/cutover-go/cutover/reexec"
)

// A server serves gRPC without losing a call to an upgrade. GracefulStop alone does
// lose some:
//
//   - It closes a connection that Accept has returned and that grpc has not begun to
//     read. So it is called when there is none: the gate is shut by then, and the
//     lobby waits for the connections that came before (lobby.go).
//   - It sends GOAWAY only after every client has finished its handshake. A silent
//     client has grpc.ConnectionTimeout for that.
//   - It closes the listener, but if the successor crashes, this process accepts again
//     until the manager's restart. So grpc gets a listener that closes only its room
//     in the lobby, and a second grpc.Server takes the connections that come then.
//
// HTTP/2 connections do not move to the successor. A client that gets GOAWAY
// finishes its calls on the old connection and dials for the next.
type server struct {
	u        *reexec.Upgrader
	register func(*grpc.Server)
	unary    atomic.Int64 // calls in work
	streams  atomic.Int64 // as above
}

// serve calls u.Ready, serves on ln, a listener of u, and returns when this
// generation was replaced or stopped and its calls are answered, or cut at the drain
// deadline: the error wraps reexec.ErrDrainDeadline then and says how many.
func (s *server) serve(ctx context.Context, ln net.Listener) error {
	l := newLobby(s.u, ln)
	first := s.newServer()
	served := l.open(first)
	var receiving sync.WaitGroup
	receiving.Go(l.receive) // ends when ln is closed, which each path below does
	if err := s.u.Ready(ctx); err != nil {
		_ = ln.Close() // the error of Ready says why
		first.Stop()
		receiving.Wait()
		return err
	}
	defer context.AfterFunc(ctx, s.u.Stop)()
	<-s.u.Draining()

	// Its connections must not hold the process long: they get GOAWAY soon after their
	// beginning.
	second := s.newServer(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: time.Second}))
	covered := l.open(second)
	served.settled()
	var stops sync.WaitGroup
	stops.Go(first.GracefulStop)
	late := s.u.Drain(context.Background())
	if late != nil {
		late = fmt.Errorf("%w: %d calls and %d streams in work", late, s.unary.Load(), s.streams.Load())
		stops.Go(first.Stop)
		stops.Go(second.Stop)
	}
	_ = ln.Close() // accepts nothing any more
	receiving.Wait()
	covered.settled()
	stops.Go(second.GracefulStop)
	stops.Wait()
	return late
}

func (s *server) newServer(o ...grpc.ServerOption) *grpc.Server {
	r := grpc.NewServer(append(o, grpc.ConnectionTimeout(handshake),
		grpc.UnaryInterceptor(s.countUnary), grpc.StreamInterceptor(s.countStream))...)
	s.register(r)
	return r
}

// countUnary holds the generation for a call, which goes on also where its client, and
// with it the connection, is gone.
func (s *server) countUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	defer s.begin(&s.unary)()
	return next(ctx, req)
}

// countStream is the same for a stream.
func (s *server) countStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	defer s.begin(&s.streams)()
	return next(srv, ss)
}

func (s *server) begin(kind *atomic.Int64) (end func()) {
	release := s.u.Hold()
	kind.Add(1)
	return func() {
		kind.Add(-1)
		release()
	}
}
