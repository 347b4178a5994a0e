//go:build linux

package reexec_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/reexec"
)

func TestListenFuncBindsAsTheProgramDoes(t *testing.T) {
	u := newUpgrader(t, reexec.Options{})
	used := false
	lc := net.ListenConfig{Control: func(string, string, syscall.RawConn) error { used = true; return nil }}
	ln, err := u.ListenFunc("a", func() (net.Listener, error) { return lc.Listen(t.Context(), "tcp", "127.0.0.1:0") })
	if err != nil || !used {
		t.Fatalf("ListenFunc: %v, the ListenConfig is used: %v", err, used)
	}
	pc, err := u.ListenPacketFunc("b", func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") })
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	d, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, _, err := pc.ReadFrom(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// plainListener has no SyscallConn.
type plainListener struct{ net.Listener }

func TestListenFuncRefusesWhatCannotBeHandedOver(t *testing.T) {
	u := newUpgrader(t, reexec.Options{})
	if ln, err := u.ListenFunc("a", nil); ln != nil || err != nil {
		t.Errorf("ListenFunc without a passed listener and without bind: %v, %v, want nil", ln, err)
	}
	if c, err := u.ListenPacketFunc("a", nil); c != nil || err != nil {
		t.Errorf("ListenPacketFunc without a passed socket and without bind: %v, %v, want nil", c, err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.ListenFunc("a", func() (net.Listener, error) { return plainListener{ln}, nil }); err == nil || !strings.Contains(err.Error(), "SyscallConn") {
		t.Errorf("a listener without SyscallConn: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
	cause := errors.New("no address")
	if _, err := u.ListenFunc("a", func() (net.Listener, error) { return nil, cause }); !errors.Is(err, cause) {
		t.Errorf("bind fails: %v", err)
	}
}

func TestASuccessorInheritsWithoutABind(t *testing.T) {
	s := newScene(t)
	one, address := s.open("{}")
	if one.Do("main") != "true" {
		t.Error("the first generation is not the main process")
	}
	one.Do("wait for predecessor") // there is none
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	if got := two.Do("inherit", "a"); got != address {
		t.Errorf("the inherited listener is at %q, want %s", got, address)
	}
	if two.Do("main") != "false" {
		t.Error("a successor is the main process before Ready")
	}
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	if one.Do("main") != "false" || two.Do("main") != "true" {
		t.Error("the successor is not the only main process")
	}
}

// The predecessor closes its Upgrader, and ends later.
func TestWaitForPredecessorWaitsForTheEndOfTheProcess(t *testing.T) {
	s := newScene(t)
	one, _ := s.open("{}")
	two := one.handOver("{}")
	waits := two.Begin("wait for predecessor")
	one.Do("drain")
	one.Do("close")
	canceled := two.Begin("wait for predecessor")
	canceled.Cancel()
	canceled.Fails("changed its mind")
	waits.Unanswered()
	one.Exit(0)
	waits.Text()
	two.Do("wait for predecessor") // the pid is free
}

func TestWaitForPredecessorEndsWithClose(t *testing.T) {
	s := newScene(t)
	one, _ := s.open("{}")
	two := one.handOver("{}")
	waits := two.Begin("wait for predecessor")
	two.Do("close")
	waits.Fails(reexec.ErrStopped.Error())
}
