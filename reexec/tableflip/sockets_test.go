//go:build linux

package tableflip_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/cutover-go/cutover/reexec/tableflip"
)

// This file has the programs of the tests of Fds.

// unixAddr is the address of the unix sockets.
const unixAddr = "socket"

func addsListeners(u *tableflip.Upgrader) error {
	for _, a := range [][2]string{{"unix", unixAddr}, {"tcp", "localhost:0"}} {
		ln, err := net.Listen(a[0], a[1])
		if err != nil {
			return err
		}
		if err := u.AddListener(a[0], a[1], ln.(tableflip.Listener)); err != nil {
			return err
		}
		ln.Close()
	}
	return upgrades(u)
}

func inheritsListeners(u *tableflip.Upgrader) error {
	for _, a := range [][2]string{{"unix", unixAddr}, {"tcp", "localhost:0"}} {
		if ln, err := u.Listener(a[0], a[1]); ln == nil || err != nil {
			return fmt.Errorf("%s: %v, %v", a, ln, err)
		}
	}
	return u.Ready()
}

func addsPacketConns(u *tableflip.Upgrader) error {
	for _, a := range [][2]string{{"unixgram", unixAddr}, {"udp", "localhost:0"}} {
		c, err := net.ListenPacket(a[0], a[1])
		if err != nil {
			return err
		}
		if err := u.AddPacketConn(a[0], a[1], c.(tableflip.PacketConn)); err != nil {
			return err
		}
	}
	return upgrades(u)
}

func inheritsPacketConns(u *tableflip.Upgrader) error {
	for _, a := range [][2]string{{"unixgram", unixAddr}, {"udp", "localhost:0"}} {
		if c, err := u.PacketConn(a[0], a[1]); c == nil || err != nil {
			return fmt.Errorf("%s: %v, %v", a, c, err)
		}
	}
	return u.Ready()
}

var addresses = [][2]string{
	{"tcp", "localhost:0"}, {"udp", "localhost:0"}, {"unix", unixAddr}, {"unixgram", unixAddr + "gram"},
	{"unixpacket", unixAddr + "packet"}, {"unix", ""}, {"unixpacket", ""}, {"unixgram", ""},
}

func isPacket(network string) bool { return network == "udp" || network == "unixgram" }

// listens listens on each address and closes the listener.
func listens(callback bool) func(*tableflip.Upgrader) error {
	return func(u *tableflip.Upgrader) error {
		for _, a := range addresses {
			var c io.Closer
			var err error
			called := !callback
			switch {
			case isPacket(a[0]) && callback:
				c, err = u.ListenPacketWithCallback(a[0], a[1], func(n, a string) (net.PacketConn, error) { called = true; return net.ListenPacket(n, a) })
			case isPacket(a[0]):
				c, err = u.ListenPacket(a[0], a[1])
			case callback:
				c, err = u.ListenWithCallback(a[0], a[1], func(n, a string) (net.Listener, error) { called = true; return net.Listen(n, a) })
			default:
				c, err = u.Listen(a[0], a[1])
			}
			if err != nil || !called {
				return fmt.Errorf("%s: %v, called: %v", a, err, called)
			}
			if _, ok := c.(syscall.Conn); !ok {
				return fmt.Errorf("%s: a %T has no SyscallConn", a, c)
			}
			if err := c.Close(); err != nil {
				return fmt.Errorf("%s: close: %v", a, err)
			}
		}
		return upgrades(u)
	}
}

func inherits(callback bool) func(*tableflip.Upgrader) error {
	return func(u *tableflip.Upgrader) error {
		called := errors.New("the callback is called for an inherited socket")
		for _, a := range addresses {
			var c io.Closer
			var err error
			switch {
			case isPacket(a[0]) && callback:
				c, err = u.ListenPacketWithCallback(a[0], a[1], func(string, string) (net.PacketConn, error) { return nil, called })
			case isPacket(a[0]):
				c, err = u.PacketConn(a[0], a[1])
			case callback:
				c, err = u.ListenWithCallback(a[0], a[1], func(string, string) (net.Listener, error) { return nil, called })
			default:
				c, err = u.Listener(a[0], a[1])
			}
			if err != nil || c == nil || fmt.Sprint(c) == "<nil>" {
				return fmt.Errorf("%s: %v, %v", a, c, err)
			}
		}
		return u.Ready()
	}
}

func removesUnix(u *tableflip.Upgrader) error {
	for _, a := range addresses {
		if !strings.HasPrefix(a[0], "unix") || a[1] == "" {
			continue
		}
		var c io.Closer
		var err error
		if isPacket(a[0]) {
			c, err = u.ListenPacket(a[0], a[1])
		} else {
			c, err = u.Listen(a[0], a[1])
		}
		if err != nil {
			return err
		}
		if a[0] == "unix" {
			c.Close()
		}
		if _, err := os.Stat(a[1]); err != nil {
			return fmt.Errorf("after Close: %v", err)
		}
	}
	if err := u.Ready(); err != nil {
		return err
	}
	u.Stop()
	left, err := os.ReadDir(".")
	for _, f := range left {
		if strings.HasPrefix(f.Name(), unixAddr) {
			err = fmt.Errorf("%s is there after Stop", f.Name())
		}
	}
	return err
}

func addsConn(u *tableflip.Upgrader) error {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: unixAddr})
	if err != nil {
		return err
	}
	if err := u.AddConn("unixgram", "", c); err != nil {
		return err
	}
	return upgrades(u)
}

func inheritsConn(u *tableflip.Upgrader) error {
	c, err := u.Conn("unixgram", "")
	if c == nil || err != nil {
		return fmt.Errorf("%v, %v", c, err)
	}
	return u.Ready()
}

func addsFiles(u *tableflip.Upgrader) error {
	for _, n := range []string{"test1", "test:2"} {
		r, _, err := os.Pipe()
		if err != nil {
			return err
		}
		if err := u.AddFile(n, r); err != nil {
			return err
		}
		r.Close()
	}
	return upgrades(u)
}

func inheritsFile(u *tableflip.Upgrader) error {
	f, err := u.File("test:2")
	if f == nil || err != nil {
		return fmt.Errorf("%v, %v", f, err)
	}
	if again, err := u.File("test:2"); again != nil || err != nil {
		return fmt.Errorf("a second time: %v, %v", again, err)
	}
	return u.Ready()
}

func inheritsFiles(u *tableflip.Upgrader) error {
	all, err := u.Files()
	if err != nil || len(all) != 2 {
		return fmt.Errorf("%d files, %v", len(all), err)
	}
	for i, want := range []string{"fd:test1:", "fd:test:2:"} {
		if all[i].Name() != want {
			return fmt.Errorf("file %q, want %q", all[i].Name(), want)
		}
	}
	return u.Ready()
}
