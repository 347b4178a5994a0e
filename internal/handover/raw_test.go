//go:build linux

package handover_test

import (
	"context"
	"net"
	"testing"
	"unsafe"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
	"golang.org/x/sys/unix"
)

// readRaw returns the bytes of the next message and how many descriptors came
// with it, which it closes.
func readRaw(t testing.TB, c *net.UnixConn) (frame string, fds int) {
	t.Helper()
	buf, oob := make([]byte, 256<<10), make([]byte, fd.RightsSpace)
	n, oobn, flags, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil || fd.Truncated(flags) {
		t.Fatalf("read: %v, flags %#x", err, flags)
	}
	came, err := fd.ParseRights(oob[:oobn])
	if err != nil {
		t.Fatal(err)
	}
	fd.CloseAll(came)
	return string(buf[:n]), len(came)
}

func writeRaw(t testing.TB, c *net.UnixConn, frame string, fds []*fd.FD) {
	t.Helper()
	if frame == "" && len(fds) > 0 {
		writeEmpty(t, c, fd.Rights(fds))
		return
	}
	if _, _, err := c.WriteMsgUnix([]byte(frame), fd.Rights(fds), nil); err != nil {
		t.Fatal(err)
	}
}

// writeEmpty sends descriptors with a message of no bytes, to which package net
// and x/sys would add one.
func writeEmpty(t testing.TB, c *net.UnixConn, oob []byte) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	m := unix.Msghdr{Control: &oob[0]}
	m.SetControllen(len(oob))
	var errno unix.Errno
	if err := rc.Control(func(raw uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_SENDMSG, raw, uintptr(unsafe.Pointer(&m)), 0)
	}); err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
}

// A foreign program may hold the other end. Programs of this library send no empty frame.
func TestAnEmptyMessageLeavesNoDescriptor(t *testing.T) {
	c, raw := wire(t)
	fds := files(t, 2)
	before := len(leak.Descriptors())
	writeRaw(t, raw, "", fds)
	if m, err := c.Receive(context.Background()); err == nil {
		t.Errorf("Receive = %v, want an error", m)
	}
	if after := len(leak.Descriptors()); after != before {
		t.Errorf("%d descriptors left open", after-before)
	}
}

// FuzzReceive sends any bytes with any number of descriptors to a line. Receive must not
// panic, and the returned message must own all received descriptors.
func FuzzReceive(f *testing.F) {
	for _, g := range golden {
		f.Add([]byte(g.frame), uint8(g.fds))
	}
	f.Add([]byte(""), uint8(1))
	f.Add([]byte("CO\x01\x81"), uint8(3))
	f.Add([]byte("CO\x01\x02{\"entries\":null,\"last\":true}"), uint8(0))
	f.Fuzz(func(t *testing.T, frame []byte, n uint8) {
		c, raw := wire(t)
		fds := files(t, int(n%5))
		before := len(leak.Descriptors())
		writeRaw(t, raw, string(frame[:min(len(frame), 160<<10)]), fds)
		if err := raw.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		m, err := c.Receive(context.Background())
		if (m == nil) != (err != nil) {
			t.Errorf("Receive = %v, %v", m, err)
		}
		fd.CloseAll(carried(m))
		if after := len(leak.Descriptors()); after != before {
			t.Errorf("%d descriptors left open after %T, %v", after-before, m, err)
		}
		if err == nil {
			resend(t, m)
		}
	})
}

// resend checks that a received message can be sent, and arrives unchanged.
func resend(t *testing.T, m handover.Message) {
	a, b := pair(t)
	switch d := m.(type) {
	case handover.Descriptors:
		m = with(m, files(t, len(d.Entries)))
	case handover.States:
		m = with(m, files(t, len(d.Names)))
	case handover.Connections:
		m = with(m, files(t, len(d.Connections)))
	default:
		m = with(m, nil)
	}
	if err := a.Send(context.Background(), m); err != nil {
		return // it can grow beyond a frame: JSON may be written shorter than we do
	}
	again, err := b.Receive(context.Background())
	if err != nil {
		t.Errorf("%+v cannot be read back: %v", m, err)
	}
	fd.CloseAll(carried(again))
}
