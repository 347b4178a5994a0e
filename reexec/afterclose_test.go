//go:build linux

package reexec

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
)

// The descriptors of such a socket would have no owner. TestMain counts them.
func TestAClosedUpgraderGivesNoSockets(t *testing.T) {
	u := made(t, Options{})
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	bind := func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	route := func([]byte, netip.AddrPort) uint32 { return 0 }
	for what, f := range map[string]func() error{
		"Listen":       func() error { _, err := u.Listen(ctx, "a", "tcp", "127.0.0.1:0"); return err },
		"ListenFunc":   func() error { _, err := u.ListenFunc("a", bind); return err },
		"ListenPacket": func() error { _, err := u.ListenPacket(ctx, "a", "udp", "127.0.0.1:0"); return err },
		"ListenFlows":  func() error { _, _, err := u.ListenFlows(ctx, "a", "udp", "127.0.0.1:0", route); return err },
		"Keep":         func() error { _, err := u.Keep("a", os.Stdin); return err },
		"Claim":        func() error { _, err := u.Claim("a"); return err },
	} {
		if err := f(); !errors.Is(err, ErrStopped) {
			t.Errorf("%s after Close = %v, want ErrStopped", what, err)
		}
	}
}

func TestABindThatReturnsAfterCloseIsClosed(t *testing.T) {
	u := made(t, Options{})
	bound := make(chan struct{})
	result := make(chan error, 1)
	var address string
	go func() { // ends after Close
		_, err := u.ListenFunc("a", func() (net.Listener, error) {
			close(bound)
			<-u.loop.done
			<-u.tasks.life.Done()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				address = ln.Addr().String()
			}
			return ln, err
		})
		result <- err
	}()
	returns(t, "bind", bound)
	within(t, "Close", func() { _ = u.Close() })
	if err := <-result; !errors.Is(err, ErrStopped) {
		t.Errorf("ListenFunc = %v, want ErrStopped", err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		_ = c.Close()
		t.Error("the socket is open, and no process accepts")
	}
}

func TestABindWithoutAListenerIsRefused(t *testing.T) {
	u := made(t, Options{})
	defer u.Close()
	if ln, err := u.ListenFunc("a", func() (net.Listener, error) { return nil, nil }); err == nil {
		t.Errorf("ListenFunc = %v, nil, want an error", ln)
	}
	if ln, err := u.ListenFunc("a", func() (net.Listener, error) { return (*net.TCPListener)(nil), nil }); err == nil {
		t.Errorf("ListenFunc = %v, nil, want an error", ln)
	}
	if c, err := u.ListenPacketFunc("a", func() (net.PacketConn, error) { return nil, nil }); err == nil {
		t.Errorf("ListenPacketFunc = %v, nil, want an error", c)
	}
}
