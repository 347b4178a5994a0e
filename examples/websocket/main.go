// Command websocket is a WebSocket server that is replaced while it runs: each client
// gets a message, waits for its answers, and reconnects to the new process. The server
// runs its accept loop itself; see server.go.
//
//	go build -C examples/websocket -o /usr/local/bin/cutover-websocket .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/units"
)

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
		Name: "cutover-websocket", Description: "Cutover example WebSocket server", Binary: "/usr/local/bin/cutover-websocket",
		Sockets:   []units.Socket{{Name: "http", Listen: []string{"127.0.0.1:8082"}}},
		Hardening: units.Strict,
	}
}

func serve(ctx context.Context) (err error) {
	addr := flag.String("addr", "127.0.0.1:8082", "bind this `address` if no socket named http was passed")
	drain := flag.Duration("drain", 0, "how long clients may take to leave after an upgrade (0: the default)")
	flag.Parse()
	u, err := reexec.New(reexec.Options{Signals: true, Drain: *drain})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, "http", "tcp", *addr)
	if err != nil {
		return err
	}
	err = newServer(u).serve(ctx, ln)
	switch {
	case errors.Is(err, reexec.ErrStopped):
		err = nil // asked to end before Ready, or only tried before an upgrade in place
	case errors.Is(err, reexec.ErrDrainDeadline):
		fmt.Fprintln(os.Stderr, err) // clients that did not leave are no failure of ours
		err = nil
	}
	return err
}
