package regrpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthServer is the health service of one grpc.Server. A nil one does nothing.
type healthServer struct {
	*health.Server
	once    sync.Once
	leaving chan struct{} // closed when the status is NOT_SERVING
}

// registerHealth registers a health service for the services of s. It returns nil if the
// program has registered one.
func registerHealth(s *grpc.Server) *healthServer {
	services := s.GetServiceInfo()
	if _, registered := services[healthpb.Health_ServiceDesc.ServiceName]; registered {
		return nil
	}
	h := &healthServer{Server: health.NewServer(), leaving: make(chan struct{})}
	for name := range services {
		h.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
	healthpb.RegisterHealthServer(s, h)
	return h
}

// leave sets each status to NOT_SERVING and ends the watches.
func (h *healthServer) leave() {
	if h == nil {
		return
	}
	h.once.Do(func() {
		h.Shutdown()
		close(h.leaving)
	})
}

// Watch sends the status, and NOT_SERVING as the last one.
func (h *healthServer) Watch(in *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-h.leaving:
			cancel()
		case <-ctx.Done():
		}
	}()
	w := &watch{ServerStreamingServer: s, ctx: ctx}
	err := h.Server.Watch(in, w)
	if s.Context().Err() != nil || ctx.Err() == nil {
		return err // the client has gone
	}
	if w.last == healthpb.HealthCheckResponse_SERVING {
		if err := s.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "this generation is replaced: call again")
}

// watch is the stream of a Watch that leave ends.
type watch struct {
	grpc.ServerStreamingServer[healthpb.HealthCheckResponse]
	ctx  context.Context
	last healthpb.HealthCheckResponse_ServingStatus
}

func (w *watch) Context() context.Context { return w.ctx }

func (w *watch) Send(r *healthpb.HealthCheckResponse) error {
	w.last = r.Status
	return w.ServerStreamingServer.Send(r)
}
