package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cutover-go/cutover/reexec/regrpc"
)

// greeter is cutover.example.Greeter, written by hand to spare a generator:
//
//	rpc Say(google.protobuf.StringValue) returns (google.protobuf.StringValue);
//	rpc Count(google.protobuf.Int32Value) returns (stream google.protobuf.StringValue);
//	rpc Watch(google.protobuf.Empty) returns (stream google.protobuf.StringValue);
var greeter = grpc.ServiceDesc{
	ServiceName: "cutover.example.Greeter",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: say}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Count", Handler: count, ServerStreams: true},
		{StreamName: "Watch", Handler: watch, ServerStreams: true},
	},
}

type service struct{}

// line names the process that answers.
func line(ctx context.Context, text string) *wrapperspb.StringValue {
	return wrapperspb.String(fmt.Sprintf("version=%s generation=%d pid=%d %s", version, regrpc.Upgrader(ctx).Generation(), os.Getpid(), text))
}

// say returns its request.
func say(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.StringValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	answer := func(ctx context.Context, req any) (any, error) {
		return line(ctx, req.(*wrapperspb.StringValue).Value), nil
	}
	if intercept == nil {
		return answer(ctx, in)
	}
	return intercept(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/cutover.example.Greeter/Say"}, answer)
}

// count counts to a number, ten a second. It ends when it is done, also in a
// generation that drains.
func count(_ any, stream grpc.ServerStream) error {
	in := new(wrapperspb.Int32Value)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range in.Value {
		if err := stream.SendMsg(line(stream.Context(), fmt.Sprint(i+1))); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
	return nil
}

// watch does not end by itself. It asks its client to reconnect when this generation is
// replaced, so that the process need not wait for the drain deadline.
func watch(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
		return err
	}
	if err := stream.SendMsg(line(stream.Context(), "watching")); err != nil {
		return err
	}
	ctx, end := context.WithCancel(stream.Context())
	defer regrpc.Upgrader(ctx).OnDrain(end)()
	<-ctx.Done()
	if err := stream.Context().Err(); err != nil {
		return err
	}
	return status.Error(codes.Unavailable, "this generation is replaced: call again")
}
