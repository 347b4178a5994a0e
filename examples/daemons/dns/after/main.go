// Command dns is a DNS server that knows one address.
package main

import (
	"flag"
	"log"
	"net"
	"os"

	"github.com/miekg/dns"

	"github.com/cutover-go/cutover/reexec"
)

func main() {
	addr := flag.String("addr", ":53", "listen on this `address`, over UDP and TCP")
	flag.Parse()
	dns.HandleFunc(".", answer)
	os.Exit(reexec.Main(reexec.Options{},
		reexec.Packet("udp", *addr, func(c net.PacketConn) error { return dns.ActivateAndServe(nil, c, nil) }),
		reexec.Stream("tcp", *addr, func(ln net.Listener) error { return dns.ActivateAndServe(ln, nil, nil) })))
}

func answer(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	for _, q := range r.Question {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
			A:   net.IPv4(192, 0, 2, 1),
		})
	}
	if err := w.WriteMsg(m); err != nil {
		log.Print(err)
	}
}
