//go:build linux

package gate

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestReadThroughSyscallConnWaitsAtTheGate(t *testing.T) {
	gates, address := twoPacketGates(t)
	g := &UDPConn{gates[0], gates[0].Datagrams.(*net.UDPConn)}
	rc, err := g.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("udp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	read := func() (text string, err error) {
		b := make([]byte, 100)
		err = rc.Read(func(fd uintptr) bool {
			n, _, errno := syscall.Recvfrom(int(fd), b, 0)
			if errors.Is(errno, syscall.EAGAIN) {
				return false
			}
			text = string(b[:max(n, 0)])
			return true
		})
		return text, err
	}
	if _, err := client.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := g.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if text, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read at a shut gate = %q, %v, want os.ErrDeadlineExceeded", text, err)
	}
	if err := g.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	g.Open()
	if text, err := read(); text != "one" || err != nil {
		t.Errorf("a read at an open gate = %q, %v", text, err)
	}
	got := make(chan string)
	go func() { text, _ := read(); got <- text }() // joined below
	g.Shut()                                       // calls the read out, or comes before it
	if _, err := client.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	gates[1].Open()
	b := make([]byte, 100)
	if n, _, err := gates[1].ReadFrom(b); string(b[:n]) != "two" || err != nil {
		t.Errorf("the other generation reads %q, %v, want the datagram", b[:n], err)
	}
	gates[1].Shut()
	g.Open()
	if _, err := client.Write([]byte("three")); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "three" {
		t.Errorf("the read goes on with %q", text)
	}
}
