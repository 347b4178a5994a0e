// Command dns is a DNS server that is replaced while it runs: `systemctl reload
// cutover-dns` starts the program that lies on disk now, and no query is lost, over
// UDP or TCP. It answers TXT for any name with who it is.
//
//	go build -C examples/dns -o /usr/local/bin/cutover-dns .
//
// The UDP socket comes from reexec's gate and is no *net.UDPConn, which the dns package
// would look for to answer from the address that was asked. A host with several
// addresses needs a ListenDatagram= for each of them, and not one for all.
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
		Name: "cutover-dns", Description: "Cutover example DNS server", Binary: "/usr/local/bin/cutover-dns",
		Sockets: []units.Socket{
			{Name: "udp", Listen: []string{"127.0.0.1:5300"}, Kind: "Datagram"},
			{Name: "tcp", Listen: []string{"127.0.0.1:5300"}},
		},
		Hardening: units.Strict,
	}
}

func serve(ctx context.Context) (err error) {
	addr := flag.String("addr", "127.0.0.1:5300", "bind this `address` if no sockets named udp and tcp were passed")
	flag.Parse()
	u, err := reexec.New(reexec.Options{Signals: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	packets, err := u.ListenPacket(ctx, "udp", "udp", *addr)
	if err != nil {
		return err
	}
	// Queries wait here while the process does not run. The kernel limits the size to
	// net.core.rmem_max; ReceiveBuffer= of the unit does not have that limit.
	if b, ok := packets.(interface{ SetReadBuffer(int) error }); ok {
		if err := b.SetReadBuffer(4 << 20); err != nil {
			return err
		}
	}
	ln, err := u.Listen(ctx, "tcp", "tcp", *addr)
	if err != nil {
		return err
	}
	err = serveOn(ctx, u, packets, ln)
	switch {
	case errors.Is(err, reexec.ErrStopped):
		err = nil // asked to end before Ready, or only tried before an upgrade in place
	case errors.Is(err, reexec.ErrDrainDeadline):
		fmt.Fprintln(os.Stderr, err) // clients that took too long are no failure of ours
		err = nil
	}
	return err
}
