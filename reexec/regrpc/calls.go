package regrpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/cutover-go/cutover/reexec"
)

// calls are the calls and streams in progress of a service. Each holds the generation, also
// when its client, and with it the connection, is gone.
type calls struct {
	u    upgrader
	mu   sync.Mutex
	open map[*call]struct{}
}

type call struct{ method, client string }

type upgraderKey struct{}

// Upgrader returns the Upgrader of the service that has called a handler with ctx, the
// context of its call or stream. It returns nil in other contexts.
func Upgrader(ctx context.Context) *reexec.Upgrader {
	e, _ := ctx.Value(upgraderKey{}).(engine)
	return e.of
}

func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	defer c.begin(ctx, info.FullMethod)()
	return next(context.WithValue(ctx, upgraderKey{}, c.u), req)
}

func (c *calls) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	defer c.begin(s.Context(), info.FullMethod)()
	return next(srv, &stream{s, context.WithValue(s.Context(), upgraderKey{}, c.u)})
}

// stream is a grpc.ServerStream with the context of this package.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

func (c *calls) begin(ctx context.Context, method string) (end func()) {
	release := c.u.Hold()
	k := &call{method: method, client: "unknown"}
	if p, ok := peer.FromContext(ctx); ok {
		k.client = p.Addr.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*call]struct{}{}
	}
	c.open[k] = struct{}{}
	return func() {
		c.mu.Lock()
		delete(c.open, k)
		c.mu.Unlock()
		release()
	}
}

// list returns the calls in progress, each with its client.
func (c *calls) list() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.open {
		all = append(all, k.method+" of "+k.client)
	}
	return all
}
