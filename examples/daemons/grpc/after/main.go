// Command grpc is a gRPC server.
package main

import (
	"context"
	"flag"
	"os"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/regrpc"
)

func main() {
	addr := flag.String("addr", ":50051", "listen on this `address`")
	flag.Parse()
	os.Exit(reexec.Main(reexec.Options{}, regrpc.Service("grpc", *addr, func(s *grpc.Server) {
		pb.RegisterTestServiceServer(s, service{})
	})))
}

type service struct {
	pb.UnimplementedTestServiceServer
}

// UnaryCall returns its payload.
func (service) UnaryCall(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: r.Payload}, nil
}
