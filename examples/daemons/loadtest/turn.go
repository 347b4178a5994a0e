package main

import (
	"fmt"
	"net"
	"time"

	"github.com/pion/turn/v4"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// turnLoad sends datagrams through relays to a socket that returns each.
func turnLoad(address string, l *load.Load) error {
	echo, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { // ends with the process
		b := make([]byte, 1500)
		for {
			n, from, err := echo.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(b[:n], from) // the client reports a lost answer
		}
	}()
	kept := make([]*relay, 10)
	for i := range kept {
		if kept[i], err = allocate(address); err != nil {
			return err
		}
	}
	l.Each("kept", len(kept), 50*time.Millisecond, func(i int) error { return kept[i].echoed(echo.LocalAddr()) })
	l.Each("new", 2, 200*time.Millisecond, func(int) error {
		r, err := allocate(address)
		if err != nil {
			return err
		}
		defer r.client.Close()
		if err := r.echoed(echo.LocalAddr()); err != nil {
			return err
		}
		return r.Close()
	})
	return nil
}

// relay is an allocation of a client.
type relay struct {
	net.PacketConn
	client *turn.Client
	sent   int
}

func allocate(address string) (*relay, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c, err := turn.NewClient(&turn.ClientConfig{STUNServerAddr: address, TURNServerAddr: address, Conn: conn, Username: "user", Realm: "example.com"})
	if err != nil {
		return nil, err
	}
	if err := c.Listen(); err != nil {
		return nil, err
	}
	p, err := c.Allocate()
	return &relay{PacketConn: p, client: c}, err
}

// echoed sends a number and waits for it.
func (r *relay) echoed(to net.Addr) error {
	r.sent++
	text := fmt.Sprint(r.sent)
	if _, err := r.WriteTo([]byte(text), to); err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	b := make([]byte, 64)
	n, _, err := r.ReadFrom(b)
	if err == nil && string(b[:n]) != text {
		err = fmt.Errorf("answer %q to %q", b[:n], text)
	}
	return err
}
