// Command echo answers each datagram with itself, and the generation and process that read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

func main() {
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "reload" {
		run = reexec.Reload
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) (err error) {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen if no socket is passed")
	flag.Parse()
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	c, err := u.ListenPacket(ctx, "echo", "udp", *addr)
	if err != nil {
		return err
	}
	go answer(u, c) // ends when Close closes the socket
	if err := u.Ready(ctx); errors.Is(err, reexec.ErrStopped) {
		return nil // asked to end before it was ready, or only tried before an upgrade in place
	} else if err != nil {
		return err
	}
	return u.Drain(ctx)
}

// answer takes a while for each datagram, beside the reading of the next.
func answer(u *reexec.Upgrader, c net.PacketConn) {
	for {
		b := make([]byte, 512)
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		release := u.Hold()
		go func() {
			defer release()
			time.Sleep(5 * time.Millisecond)
			fmt.Fprintf(writer{c, from}, "%s %d %d", b[:n], u.Generation(), os.Getpid())
		}()
	}
}

type writer struct {
	c  net.PacketConn
	to net.Addr
}

func (w writer) Write(b []byte) (int, error) { return w.c.WriteTo(b, w.to) }
