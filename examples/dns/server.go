package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/miekg/dns"

	"github.com/cutover-go/cutover/reexec"
)

// services returns the servers of the program, which share a handler. The handler needs the
// Upgrader, so the first service makes it.
func services(addr string) []reexec.Service {
	var handler dns.Handler
	return []reexec.Service{
		reexec.ServiceFunc(func(_ context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			handler = answer(u)
			return nil, nil
		}),
		reexec.Packet("udp", addr, func(c net.PacketConn) error {
			// Queries wait here while the process does not run. The kernel limits the size to
			// net.core.rmem_max; ReceiveBuffer= of the unit does not have that limit.
			if b, ok := c.(interface{ SetReadBuffer(int) error }); ok {
				if err := b.SetReadBuffer(4 << 20); err != nil {
					return err
				}
			}
			return (&dns.Server{PacketConn: c, Handler: handler}).ActivateAndServe()
		}),
		reexec.Stream("tcp", addr, func(ln net.Listener) error {
			return (&dns.Server{Listener: ln, Handler: handler}).ActivateAndServe()
		}),
	}
}

// answer says who it is.
func answer(u *reexec.Upgrader) dns.HandlerFunc {
	text := fmt.Sprintf("generation=%d pid=%d", u.Generation(), os.Getpid())
	return func(w dns.ResponseWriter, r *dns.Msg) {
		if r.Response {
			return // two servers would answer each other for ever
		}
		m := new(dns.Msg)
		if len(r.Question) != 1 {
			_ = w.WriteMsg(m.SetRcodeFormatError(r)) // a client that has gone
			return
		}
		m.SetReply(r)
		if q := r.Question[0]; q.Qtype == dns.TypeTXT {
			m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}}}
		}
		_ = w.WriteMsg(m) // as above
	}
}
