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
	"flag"
	"os"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/units"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "units" {
		os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	addr := flag.String("addr", "127.0.0.1:5300", "bind this `address` if no sockets named udp and tcp were passed")
	flag.Parse()
	os.Exit(reexec.Main(reexec.Options{}, services(*addr)...))
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
