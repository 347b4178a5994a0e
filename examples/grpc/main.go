// Command grpc is a gRPC server that is replaced while it runs: `systemctl reload
// cutover-grpc` starts the program that lies on disk now, and no call is lost. Its
// units are in the folder units; `cutover-grpc units` prints them.
//
//	go build -C examples/grpc -ldflags "-X main.version=v2" -o /usr/local/bin/cutover-grpc .
package main

import (
	"flag"
	"os"

	"google.golang.org/grpc"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/regrpc"
	"github.com/cutover-go/cutover/units"
)

var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "units" {
		os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	addr := flag.String("addr", "127.0.0.1:50051", "bind this `address` if no socket named grpc was passed")
	drain := flag.Duration("drain", 0, "how long to finish calls after an upgrade (0: the default)")
	flag.Parse()

	os.Exit(reexec.Main(reexec.Options{Drain: *drain},
		regrpc.Service("grpc", *addr, func(s *grpc.Server) {
			s.RegisterService(&greeter, service{})
		}),
	))
}

// daemon describes the program; its units are made from it.
func daemon() units.Daemon {
	return units.Daemon{
		Name: "cutover-grpc", Description: "Cutover example gRPC server", Binary: "/usr/local/bin/cutover-grpc",
		Sockets:   []units.Socket{{Name: "grpc", Listen: []string{"127.0.0.1:50051"}}},
		Hardening: units.Strict,
	}
}
