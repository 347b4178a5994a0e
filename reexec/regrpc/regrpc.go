// Package regrpc serves gRPC in a program that is replaced while it runs.
//
//	os.Exit(reexec.Main(reexec.Options{},
//		regrpc.Service("grpc", ":50051", func(s *grpc.Server) {
//			pb.RegisterGreeterServer(s, greeter{})
//		}),
//	))
//
// No call is lost to an upgrade. HTTP/2 connections do not move to the successor: a client
// gets GOAWAY, finishes its calls and streams on the old connection, and dials for the next.
// Calls may take until the drain deadline (reexec.Options.Drain). A stream without an end
// ends itself when its generation is replaced:
//
//	ctx, end := context.WithCancel(stream.Context())
//	defer regrpc.Upgrader(ctx).OnDrain(end)()
//	...
//	case <-ctx.Done():
//		return status.Error(codes.Unavailable, "this generation is replaced: call again")
//
// # Why GracefulStop alone loses calls
//
// GracefulStop closes a connection that Accept has returned and grpc has not begun to read.
// This package calls it when there is no such connection. After GracefulStop a grpc.Server
// cannot serve again, but a generation accepts again when its successor dies. So this
// package makes a new grpc.Server for each time that the generation accepts, and takes a
// function that registers the services instead of a server.
package regrpc

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// handshakeTimeout limits the handshake of a client. GOAWAY waits for all handshakes, so it
// must be shorter than the drain. The default of grpc is 120 seconds.
const handshakeTimeout = 5 * time.Second

// Service returns a gRPC server as a service of [reexec.Main], [reexec.Run] or
// Upgrader.Serve. It serves the listener called name, which is bound to address if it was not
// passed to the process: "host:port", or the path of a unix socket.
//
// register registers the services of the program. It is called once for each grpc.Server,
// and several times in the life of a process: the implementations of the services are made
// outside of it. register must not keep its argument or call Serve, Stop or GracefulStop.
//
// options are those of grpc.NewServer, such as grpc.Creds. The handshake of a client may take
// five seconds; grpc.ConnectionTimeout changes it.
//
// The service grpc.health.v1.Health is registered too, unless register does it. It reports
// SERVING for the server and for each service, and NOT_SERVING in a generation that drains.
// Watch then ends with codes.Unavailable, so that a watch does not hold the old process. A
// program that registers its own health service calls its Shutdown by Upgrader.OnDrain, and ends
// its watches.
//
// Calls that are cut at the drain deadline are logged by [reexec.Upgrader.Serve].
func Service(name, address string, register func(*grpc.Server), options ...grpc.ServerOption) reexec.Service {
	return reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
		ln, err := u.Listen(ctx, name, "", address)
		if err != nil {
			return nil, err
		}
		s := &service{name: name, u: engine{protocol.Of(u), u}, register: register, options: options}
		s.calls.u = s.u
		return func(context.Context) error { return s.serve(ln) }, nil
	})
}
