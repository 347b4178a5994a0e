package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/miekg/dns"

	"github.com/cutover-go/cutover/reexec"
)

// serveOn calls u.Ready and answers queries. It returns when this generation was replaced
// or stopped, and has answered the queries that it had read.
//
// Shutdown of the dns package is not for that: it ends TCP connections on which a query
// may be under way, and closes the sockets, on which this process has to read again if
// its successor crashes. Here a UDP query holds the generation from its reading to its
// answer, and the listener holds it for a TCP connection until its end: the dns package
// waits 8 s for another query.
func serveOn(ctx context.Context, u *reexec.Upgrader, packets net.PacketConn, ln net.Listener) error {
	q := &queries{PacketConn: packets, u: u}
	v := newVisitors(ln)
	served := make(chan error, 2)
	for _, s := range []*dns.Server{
		{PacketConn: q, Handler: q.handler(answer(u)), MsgInvalidFunc: q.invalid, MsgAcceptFunc: acceptAll},
		{Listener: v, Handler: answer(u)},
	} {
		go func() { served <- s.ActivateAndServe() }() // ends when its socket is closed, see below
	}
	err := u.Ready(ctx)
	if err == nil {
		defer context.AfterFunc(ctx, u.Stop)()
		<-u.Draining()
		ended := make(chan struct{})
		defer close(ended)
		go v.hurry(u.Stopping(), ended) // ends with ended
		err = u.Drain(context.Background())
	}
	err = errors.Join(err, packets.Close(), ln.Close())
	for range 2 {
		<-served // with the error that its socket is closed
	}
	return err
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
