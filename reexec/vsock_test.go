//go:build linux

package reexec_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec"
)

// TestVsockListenerIsTakenOver has a listener of a family that package net does not know.
func TestVsockListenerIsTakenOver(t *testing.T) {
	raw, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("this kernel has no AF_VSOCK:", err)
	}
	f := fd.New(raw)
	if err := unix.Bind(raw, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}); err != nil {
		f.Close()
		t.Skip("AF_VSOCK without a transport:", err)
	}
	if err := unix.Listen(raw, 1); err != nil {
		t.Fatal(err)
	}
	u := newUpgrader(t, reexec.Options{})
	ln, err := u.ListenFunc("vm", f.SocketListener)
	if err != nil || ln.Addr().Network() != "vsock" {
		t.Fatalf("ListenFunc: %v, %v", ln, err)
	}
	if err := u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { // ends with the deadline
		_, err := ln.Accept()
		ended <- err
	}()
	if err := ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now()); err != nil {
		t.Error(err)
	}
	if err, timeout := (<-ended).(net.Error); !timeout || !err.Timeout() {
		t.Errorf("Accept: %v, want a timeout", err)
	}
}
