//go:build linux

package reexec

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// A silent session ends half a second after a stop, whatever StreamService.Draining does.
func TestAStopEndsSessionsOfAServerThatCannotBeTold(t *testing.T) {
	release := make(chan struct{})
	for how, tell := range map[string]func(bool){
		"panics": func(bool) { panic("no server") },
		"blocks": func(bool) { <-release },
	} {
		t.Run(how, func(t *testing.T) {
			u := made(t, Options{Drain: time.Hour})
			address := make(chan string, 1)
			s := Stream("a", "127.0.0.1:0", func(ln net.Listener) error {
				address <- ln.Addr().String()
				for {
					c, err := ln.Accept()
					if errors.Is(err, net.ErrClosed) {
						return err
					}
					go func() { // ends with the client, or the stop
						defer c.Close()
						_, _ = io.Copy(c, c)
					}()
				}
			})
			s.Draining = tell
			served := make(chan error, 1)
			go func() { served <- u.Serve(t.Context(), s) }() // joined below
			c, err := net.Dial("tcp", <-address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			u.Stop()
			within(t, "Serve", func() {
				if err := <-served; err != nil {
					t.Errorf("Serve = %v, want nil", err)
				}
			})
			within(t, "Close", func() { _ = u.Close() })
		})
	}
	close(release)
}

// Servers that watch Draining end when it is closed. The stop is not a failure.
func TestServersMayEndByThemselvesWhenTheDrainBegins(t *testing.T) {
	ended := errors.New("server closed")
	for what, service := range map[string]func(u *Upgrader) Service{
		"stream": func(u *Upgrader) Service {
			return Stream("a", "127.0.0.1:0", func(net.Listener) error { <-protocol.Of(u).Draining(); return ended })
		},
		"graceful stream": func(u *Upgrader) Service {
			return &StreamService{Name: "a", Address: "127.0.0.1:0", New: func() (func(net.Listener) error, func(context.Context) error) {
				<-protocol.Of(u).Draining() // the service then sees both ends at once
				return func(net.Listener) error { return ended }, func(context.Context) error { return nil }
			}}
		},
		"packet": func(u *Upgrader) Service {
			return Packet("a", "127.0.0.1:0", func(net.PacketConn) error { <-protocol.Of(u).Draining(); return ended })
		},
		"flows": func(u *Upgrader) Service {
			return &PacketService{Name: "a", Address: "127.0.0.1:0", Flows: time.Hour, Serve: func(net.PacketConn) error { <-protocol.Of(u).Draining(); return ended }}
		},
	} {
		t.Run(what, func(t *testing.T) {
			for range 30 { // the end of the server and that of the generation are seen in any order
				u := made(t, Options{})
				served := make(chan error, 1)
				go func() { served <- u.Serve(t.Context(), service(u)) }() // joined below
				for u.Status().State != lifecycle.Serving.String() {
					time.Sleep(time.Millisecond)
				}
				u.Stop()
				within(t, "Serve", func() {
					if err := <-served; err != nil {
						t.Errorf("Serve = %v, want nil", err)
					}
				})
				within(t, "Close", func() { _ = u.Close() })
			}
		})
	}
}
