//go:build linux

package main

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cutover-go/cutover/examples/internal/supervised"
	"github.com/cutover-go/cutover/reexec"
)

// A porter is a listener that keeps one connection in its hands before Accept returns
// it, as a limiter may for a moment.
type porter struct {
	net.Listener
	came, goOn chan struct{}
}

func (p *porter) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err == nil {
		p.came <- struct{}{}
		<-p.goOn
	}
	return c, err
}

// another makes a server on the same socket, as a successor would be.
func another(t *testing.T, ln net.Listener) (serve func()) {
	t.Helper()
	rc, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var f *os.File
	var dupErr error
	err = rc.Control(func(fd uintptr) {
		var d int
		d, dupErr = syscall.Dup(int(fd))
		f = os.NewFile(uintptr(d), "successor")
	})
	if err := errors.Join(err, dupErr); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	next, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	r := grpc.NewServer()
	r.RegisterService(&greeter, service{new(reexec.Upgrader)})
	t.Cleanup(r.Stop)
	return func() { _ = r.Serve(next) } // until Stop
}

// TestAConnectionInTheHandsOfAcceptIsServed, though the generation ends: grpc alone
// would close it, and its client take the server for dead.
func TestAConnectionInTheHandsOfAcceptIsServed(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	ln, err := u.Listen(t.Context(), "grpc", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &porter{ln, make(chan struct{}, 1), make(chan struct{})}
	s := &server{u: u, register: func(r *grpc.Server) { r.RegisterService(&greeter, service{u}) }}
	served := make(chan error, 1)
	go func() { served <- s.serve(t.Context(), p) }() // joined below

	c := (&site{&supervised.Service{TB: t, Ctx: t.Context()}, ln.Addr().String()}).dial()
	answered := make(chan error, 1)
	go func() { // joined below
		answered <- c.Invoke(t.Context(), "/cutover.example.Greeter/Say", wrapperspb.String("hello"), new(wrapperspb.StringValue))
	}()
	<-p.came
	successor := another(t, ln)
	u.Stop()
	<-u.Draining()
	go successor()
	close(p.goOn)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
