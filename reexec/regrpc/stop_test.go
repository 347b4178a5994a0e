package regrpc

import (
	"context"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// A slowHealth answers when the test says so.
type slowHealth struct {
	healthpb.UnimplementedHealthServer
	began, goOn chan struct{}
}

func (s *slowHealth) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	close(s.began)
	<-s.goOn
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func TestAStopFinishesCalls(t *testing.T) {
	s := &slowHealth{began: make(chan struct{}), goOn: make(chan struct{})}
	path := filepath.Join(t.TempDir(), "grpc")
	upgraders := make(chan *reexec.Upgrader, 1)
	tell := reexec.ServiceFunc(func(_ context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
		upgraders <- u
		return nil, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	result, answered := make(chan error, 1), make(chan error, 1)
	register := func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) }
	go func() { // joined below
		result <- reexec.Run(ctx, reexec.Options{}, tell, Service("grpc", path, register))
	}()
	u := <-upgraders
	c, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() { // joined below
		_, err := healthpb.NewHealthClient(c).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		answered <- err
	}()
	<-s.began
	stop()
	<-protocol.Of(u).Stopping()
	close(s.goOn)
	if err := <-answered; err != nil {
		t.Errorf("the call ends with %v", err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}
