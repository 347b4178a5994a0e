package conformance_test

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// ports counts the ports that freeAddress has tried.
var ports atomic.Uint32

// freeAddress returns an address of a network that nobody has at present. Its port
// is not one that the kernel would give to anybody who asks for any.
func (s *scene) freeAddress(network, host string) string {
	s.Helper()
	for s.ctx.Err() == nil {
		port := 10000 + (uint32(os.Getpid())*97+ports.Add(1))%20000
		address := net.JoinHostPort(host, strconv.Itoa(int(port)))
		switch err := tryBind(network, address); {
		case err == nil:
			return address
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			s.Skipf("this machine has no %s on %s: %v", network, host, err)
		case !errors.Is(err, syscall.EADDRINUSE):
			s.Fatal(err)
		}
	}
	s.Fatal("no port is free")
	return ""
}

// tryBind binds and closes. No process is started meanwhile: until its exec it would have a
// copy of the socket, and the port would still be in use after the Close.
func tryBind(network, address string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if strings.HasPrefix(network, "udp") {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return ln.Close()
}
