package conformance_test

import (
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// dialVsock connects to the listener at address, on this machine, and says ping. It
// returns nil if the kernel has no loopback transport.
func (s *scene) dialVsock(address string) reader {
	s.Helper()
	if _, err := os.Stat("/sys/module/vsock_loopback"); err != nil {
		s.Logf("without the module vsock_loopback nobody can connect to vsock %s", address)
		return nil
	}
	_, text, err := net.SplitHostPort(address)
	s.must(err)
	port, err := strconv.ParseUint(text, 10, 32)
	s.must(err)
	raw, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	s.must(err)
	err = unix.Connect(raw, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: uint32(port)})
	if err == nil {
		err = unix.SetNonblock(raw, true) // for deadlines
	}
	client := os.NewFile(uintptr(raw), "vsock")
	s.Cleanup(func() { client.Close() })
	s.must(err)
	_, err = client.WriteString("ping")
	s.must(err)
	return client
}
