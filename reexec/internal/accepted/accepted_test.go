package accepted_test

import (
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/accepted"
)

// pair returns the two ends of a connection.
func pair(t *testing.T, network, address string) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

func TestTheHoldEndsWithCloseOrRelease(t *testing.T) {
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", t.TempDir() + "/s"}} {
		for name, end := range map[string]func(net.Conn){
			"Close":   func(c net.Conn) { _ = c.Close() }, // fails the second time
			"Release": func(c net.Conn) { accepted.Release(c) },
		} {
			_, server := pair(t, at[0], at[1])
			released := 0
			c := accepted.New(server, func() { released++ })
			if released != 0 {
				t.Errorf("%s: released before %s", at[0], name)
			}
			end(c)
			end(c)
			_ = c.Close()
			if released != 1 {
				t.Errorf("%s: released %d times by %s", at[0], released, name)
			}
		}
	}
}

// Programs and package net look for these methods.
func TestAConnectionKeepsItsMethods(t *testing.T) {
	_, server := pair(t, "tcp", "127.0.0.1:0")
	c := accepted.New(server, func() {})
	if _, ok := c.(interface {
		io.ReaderFrom
		io.WriterTo
		syscall.Conn
		CloseRead() error
		CloseWrite() error
		SetLinger(int) error
		SetNoDelay(bool) error
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); !ok {
		t.Errorf("a %T has not the methods of *net.TCPConn", c)
	}
	if got := c.(interface{ NetConn() net.Conn }).NetConn(); got != server {
		t.Errorf("NetConn = %T", got)
	}
	client, server := pair(t, "unix", t.TempDir()+"/s")
	c = accepted.New(server, func() {})
	if _, ok := c.(interface {
		syscall.Conn
		CloseRead() error
		CloseWrite() error
		ReadMsgUnix(b, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error)
	}); !ok {
		t.Errorf("a %T has not the methods of *net.UnixConn", c)
	}
	go func() { // ends with the write
		_, _ = io.WriteString(client, "text") // the reader sees if it is missing
		_ = client.Close()                    // as above
	}()
	in, out := pair(t, "tcp", "127.0.0.1:0")
	if n, err := io.Copy(accepted.New(out, func() {}), c); n != 4 || err != nil {
		t.Errorf("Copy = %d, %v", n, err)
	}
	text := make([]byte, 4)
	if _, err := io.ReadFull(in, text); err != nil || string(text) != "text" {
		t.Errorf("read %q, %v", text, err)
	}
}

// Package net closes the descriptor of such a connection, too.
func TestADroppedConnectionIsReleased(t *testing.T) {
	released := make(chan struct{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	inner := accepted.New(server, func() { close(released) }).(*accepted.TCPConn).TCPConn
	runtime.GC()
	select {
	case <-released:
		t.Error("released while the program has the *net.TCPConn")
	default:
	}
	runtime.KeepAlive(inner)
	server, inner = nil, nil
	for late := time.After(time.Minute); ; {
		runtime.GC()
		select {
		case <-released:
			return
		case <-late:
			t.Fatal("not released")
		default:
		}
	}
}
