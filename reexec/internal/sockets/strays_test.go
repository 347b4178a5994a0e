//go:build linux

package sockets

import (
	"net"
	"testing"
)

func TestAddressesAreComparedAsBindReadsThem(t *testing.T) {
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	for _, c := range []struct {
		network, address string
		has              net.Addr
		want             bool
	}{
		{"tcp", "127.0.0.1:8080", tcp("127.0.0.1", 8080), true},
		{"tcp", "127.0.0.1:8091", tcp("127.0.0.1", 8080), false},
		{"tcp", "127.0.0.2:8080", tcp("127.0.0.1", 8080), false},
		{"tcp", "127.0.0.1:0", tcp("127.0.0.1", 4711), true},
		{"tcp", ":8080", tcp("::", 8080), true},
		{"tcp", "0.0.0.0:8080", tcp("0.0.0.0", 8080), true},
		{"tcp", ":8080", tcp("127.0.0.1", 8080), false},
		{"tcp", "127.0.0.1:8080", tcp("::", 8080), false},
		{"tcp", "[::ffff:127.0.0.1]:80", tcp("127.0.0.1", 80), true},
		{"tcp", "localhost:8080", tcp("127.0.0.1", 8080), true},
		{"tcp", "localhost:81", tcp("127.0.0.1", 8080), false},
		{"tcp", "127.0.0.1:http", tcp("127.0.0.1", 80), true},
		{"udp", "127.0.0.1:54", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53}, false},
		{"unix", "/run/a//b.sock", &net.UnixAddr{Name: "/run/a/b.sock"}, true},
		{"unix", "/run/c.sock", &net.UnixAddr{Name: "/run/a/b.sock"}, false},
		{"unix", "@a", &net.UnixAddr{Name: "@a"}, true},
		{"unix", "@b", &net.UnixAddr{Name: "@a"}, false},
	} {
		if got := sameAddress(c.network, c.address, c.has); got != c.want {
			t.Errorf("sameAddress(%s, %s, %v) = %v, want %v", c.network, c.address, c.has, got, c.want)
		}
	}
}
