//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/cutover-go/cutover/reexec"
)

// TestAQueryHoldsTheGenerationUntilItIsAnswered, though its socket has been read again.
func TestAQueryHoldsTheGenerationUntilItIsAnswered(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	packets, err := u.ListenPacket(t.Context(), "udp", "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, goOn := make(chan struct{}, 2), make(chan struct{})
	q := &queries{PacketConn: packets, u: u}
	s := &dns.Server{PacketConn: q, MsgInvalidFunc: q.invalid, MsgAcceptFunc: acceptAll, Handler: q.handler(dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		asked <- struct{}{}
		<-goOn
		_ = w.WriteMsg(new(dns.Msg).SetReply(r)) // the client waits for it
	}))}
	served := make(chan error, 1)
	go func() { served <- s.ActivateAndServe() }() // joined below
	if err := u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := &dns.Conn{Conn: c}
	for range 2 {
		if err := conn.WriteMsg(new(dns.Msg).SetQuestion("example.", dns.TypeTXT)); err != nil {
			t.Fatal(err)
		}
		<-asked
	}
	u.Stop()
	<-u.Stopping() // from now on Drain returns if nothing is held
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Drain(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain with two queries in work: %v", err)
	}
	close(goOn)
	if err := u.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	_ = packets.Close() // closed already: nobody supervises us
	<-served
}
