//go:build linux

package retls_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/retls"
)

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) {
	upgradetest.Init()
	if len(os.Args) > 1 {
		if run, ok := map[string]func(context.Context) error{"serve": serve, "reload": reexec.Reload}[os.Args[1]]; ok {
			if err := run(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// serve is a server that says its generation and process to each client, and ends a
// connection when the client does.
func serve(ctx context.Context) (err error) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	pair, err := tls.LoadX509KeyPair(os.Getenv("CERTIFICATE"), os.Getenv("CERTIFICATE"))
	if err != nil {
		return err
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}}
	if err := retls.Tickets(u, "public", cfg); err != nil {
		return err
	}
	ln, err := u.Listen(ctx, "tls", "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go accept(u, tls.NewListener(ln, cfg.Clone())) // ends when Close closes the listener
	if err := u.Ready(ctx); err != nil {
		return err
	}
	return u.Drain(ctx)
}

func accept(u *reexec.Upgrader, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		release := u.Hold()
		go func() { // ends with the client
			defer release()
			defer c.Close()
			if _, err := fmt.Fprintf(c, "%d %d\n", u.Generation(), os.Getpid()); err == nil {
				_, _ = bufio.NewReader(c).ReadByte() // until the client is gone
			}
		}()
	}
}
