//go:build linux

package reexec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// A program with a web server and a port for metrics.
func ExampleMain() {
	site, metrics := http.NewServeMux(), http.NewServeMux()
	os.Exit(reexec.Main(reexec.Options{},
		rehttp.Service("http", ":8080", &http.Server{Handler: site}),
		rehttp.Service("metrics", "127.0.0.1:9090", &http.Server{Handler: metrics}),
	))
}

// A TCP server that ends by itself, after its first client.
func ExampleStream() {
	received := make(chan string, 1)
	client := func(address string) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			received <- err.Error()
			return
		}
		defer c.Close()
		text, err := io.ReadAll(c)
		received <- fmt.Sprintf("%s %v", text, err)
	}
	err := reexec.Run(context.Background(), reexec.Options{},
		reexec.Stream("hello", "127.0.0.1:0", func(ln net.Listener) error {
			defer ln.Close()
			go client(ln.Addr().String())
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = fmt.Fprint(c, "hello")
			return err
		}))
	fmt.Println(<-received, err)
	// Output: hello <nil> <nil>
}

// A UDP server that answers each datagram with its text.
func ExamplePacket() {
	os.Exit(reexec.Main(reexec.Options{},
		reexec.Packet("echo", ":7", func(c net.PacketConn) error {
			b := make([]byte, 64<<10)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return err
				}
				if _, err := c.WriteTo(b[:n], from); err != nil {
					return err
				}
			}
		})))
}

// A handler that needs the Upgrader is made in a ServiceFunc.
func ExampleServiceFunc() {
	os.Exit(reexec.Main(reexec.Options{},
		reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, u.Generation()) })
			return rehttp.Service("http", ":8080", &http.Server{Handler: handler}).Listen(ctx, u)
		})))
}

// A server that answers each byte with the number of bytes so far. Its connections move to
// the next process between two bytes, with their number.
func ExampleUpgrader_Move() {
	serve := func(u *reexec.Upgrader, c net.Conn) {
		count := []byte{0}
		if moved, ok := c.(*reexec.Moved); ok {
			count = moved.Data
		}
		defer u.OnDrain(func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })() // ends the Read that waits
		for {
			_, err := c.Read(make([]byte, 1))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				if u.Move(context.Background(), "count", c, "count/1", count) == nil {
					return // the next process goes on with the connection
				}
				err = c.SetReadDeadline(time.Time{}) // the connection stays here
			} else if err == nil {
				count[0]++
				_, err = c.Write(count)
			}
			if err != nil {
				_ = c.Close()
				return
			}
		}
	}
	os.Exit(reexec.Main(reexec.Options{},
		reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			ln, err := u.Listen(ctx, "count", "tcp", ":7070")
			if err != nil {
				return nil, err
			}
			return func(context.Context) error {
				for {
					c, err := ln.Accept()
					if errors.Is(err, net.ErrClosed) {
						return nil
					}
					if err != nil {
						return err
					}
					go serve(u, c)
				}
			}, u.Receive("count", "count/1")
		})))
}
