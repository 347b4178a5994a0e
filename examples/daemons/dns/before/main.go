// Command dns is a DNS server that knows one address.
package main

import (
	"flag"
	"log"
	"net"

	"github.com/miekg/dns"
)

func main() {
	addr := flag.String("addr", ":53", "listen on this `address`, over UDP and TCP")
	flag.Parse()
	dns.HandleFunc(".", answer)
	go func() { log.Fatal((&dns.Server{Addr: *addr, Net: "udp"}).ListenAndServe()) }()
	log.Fatal((&dns.Server{Addr: *addr, Net: "tcp"}).ListenAndServe())
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
