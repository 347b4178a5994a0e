// Command grpc is a gRPC server that is replaced while it runs: `systemctl reload
// cutover-grpc` starts the program that lies on disk now, and no call is lost. Its
// units are in the folder units; `cutover-grpc units` prints them.
//
//	go build -C examples/grpc -ldflags "-X main.version=v2" -o /usr/local/bin/cutover-grpc .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/units"
)

var version = "dev"

func main() {
	run := serve
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reload": // ExecReload=
			run = reexec.Reload
		case "units":
			os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
		}
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// daemon describes the program; its units are made from it.
func daemon() units.Daemon {
	return units.Daemon{
		Name: "cutover-grpc", Description: "Cutover example gRPC server", Binary: "/usr/local/bin/cutover-grpc",
		Sockets:   []units.Socket{{Name: "grpc", Listen: []string{"127.0.0.1:50051"}}},
		Hardening: units.Strict,
	}
}

func serve(ctx context.Context) (err error) {
	addr := flag.String("addr", "127.0.0.1:50051", "bind this `address` if no socket named grpc was passed")
	drain := flag.Duration("drain", 0, "how long to finish calls after an upgrade (0: the default)")
	flag.Parse()

	u, err := reexec.New(reexec.Options{Signals: true, Drain: *drain})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, "grpc", "tcp", *addr)
	if err != nil {
		return err
	}
	s := &server{u: u, register: func(r *grpc.Server) {
		r.RegisterService(&greeter, service{u})
		healthpb.RegisterHealthServer(r, health.NewServer())
	}}
	err = s.serve(ctx, ln)
	switch {
	case errors.Is(err, reexec.ErrStopped):
		err = nil // asked to end before Ready, or only tried before an upgrade in place
	case errors.Is(err, reexec.ErrDrainDeadline):
		fmt.Fprintln(os.Stderr, err) // clients that took too long are no failure of ours
		err = nil
	}
	return err
}

// handshake limits the handshake of a client. GOAWAY waits for all handshakes (see
// server.go), so handshake must be shorter than the drain; grpc's default is 120 s.
const handshake = 5 * time.Second
