//go:build linux

package sockets_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

func listen(t *testing.T, s *sockets.Set, name, address string) net.Listener {
	t.Helper()
	ln, err := s.Listen(t.Context(), name, "", address)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestSocketsOfOneNameAreClaimedByTheirIndex(t *testing.T) {
	old := setOf(t, nil, nil)
	var want []string
	for range 3 {
		want = append(want, listen(t, old, "a", "127.0.0.1:0").Addr().String())
	}
	entries, fds, err := old.Export()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries) // the fd store has no order
	slices.Reverse(fds)
	s := setOf(t, entries, fds)
	for i, address := range want {
		if got := listen(t, s, "a", "127.0.0.1:0").Addr().String(); got != address {
			t.Errorf("socket %d is at %s, want %s", i, got, address)
		}
	}
	listen(t, s, "a", "127.0.0.1:0") // binds
	entries, fds, err = s.Export()
	fd.CloseAll(fds)
	if err != nil || len(entries) != 4 || entries[3].Index != 3 {
		t.Errorf("handed over: %+v, %v, want a fourth socket with index 3", entries, err)
	}
	if own, stored := s.Own(), s.InStore(); own != 4 || stored != 0 {
		t.Errorf("%d sockets of the program, %d in the store, want 4 and 0", own, stored)
	}
}

func TestNoSocketIsClaimedAfterReadyOrClose(t *testing.T) {
	s := setOf(t, nil, nil)
	bind := func(end func()) func() (net.Listener, error) {
		return func() (net.Listener, error) { // the lock is not held
			end()
			return net.Listen("tcp", "127.0.0.1:0")
		}
	}
	var tasks sync.WaitGroup
	late := []error{nil, nil}
	_, late[0] = s.ListenFunc("a", bind(func() { s.Join(tasks.Go) }))
	_, late[1] = s.Listen(t.Context(), "a", "tcp", "127.0.0.1:0")
	for _, err := range late {
		if err == nil || !strings.Contains(err.Error(), "claimed after Ready") {
			t.Errorf("claim after Ready: %v", err)
		}
	}
	s = setOf(t, nil, nil)
	_, late[0] = s.ListenFunc("a", bind(func() { _ = s.Close() }))
	_, late[1] = s.Keep("k", os.Stdin)
	for _, err := range late {
		if !errors.Is(err, sockets.ErrStopped) {
			t.Errorf("claim after Close: %v, want %v", err, sockets.ErrStopped)
		}
	}
	tasks.Wait()
}

func TestFailureIsTheErrorOfTheLastFailedClaim(t *testing.T) {
	s := setOf(t, nil, nil)
	if ln, err := s.ListenFunc("a", nil); ln != nil || err != nil {
		t.Errorf("ListenFunc without bind = %v, %v, want nothing", ln, err)
	}
	if k, err := s.Claim("a"); k != nil || err != nil {
		t.Errorf("Claim = %v, %v, want nothing", k, err)
	}
	if err := s.Failure(); err != nil {
		t.Errorf("Failure = %v, although no claim has failed", err)
	}
	want := errors.New("no such host")
	_, _ = s.ListenFunc("b", func() (net.Listener, error) { return nil, want })
	listen(t, s, "a", "127.0.0.1:0")
	if err := s.Failure(); !errors.Is(err, want) || !strings.Contains(err.Error(), `socket "b"`) {
		t.Errorf("Failure = %v, want the error of bind, and the name", err)
	}
}

func TestBindThatReturnsNoOpenSocketFails(t *testing.T) {
	s := setOf(t, nil, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	twice := func() (net.Listener, error) { return ln, nil }
	if _, err := s.ListenFunc("a", twice); err != nil {
		t.Error(err)
	}
	if _, err := s.ListenFunc("b", twice); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), `socket "b"`) {
		t.Errorf("ListenFunc of a listener that another name has: %v", err)
	}
	if _, err := s.ListenFunc("c", func() (net.Listener, error) { return (*net.UnixListener)(nil), nil }); err == nil {
		t.Error("ListenFunc of a nil *net.UnixListener: no error")
	}
}

// passed returns the sockets of a unit.
func passed(t *testing.T, name string, addresses ...string) (entries []handover.Entry, fds []*fd.FD, at []string) {
	t.Helper()
	for i, address := range addresses {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		entries = append(entries, handover.Entry{Name: name, Index: i, Origin: handover.OriginUnit})
		fds, at = append(fds, dup(t, ln.(*net.TCPListener))), append(at, ln.Addr().String())
	}
	return entries, fds, at
}

func TestASocketOfAnotherKindNamesTheSettingOfTheUnit(t *testing.T) {
	entries, fds, _ := passed(t, "a", "127.0.0.1:0")
	s := setOf(t, entries, fds)
	if _, err := s.ListenPacket(t.Context(), "a", "udp", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "ListenDatagram=") {
		t.Errorf("ListenPacket = %v, want an error with the setting", err)
	}
}

// A name that differs in the unit, in the version before, or in two calls of Listen.
func TestABindThatFailsNamesTheSocketThatHasTheAddress(t *testing.T) {
	entries, fds, at := passed(t, "unit", "127.0.0.1:0", "127.0.0.1:0")
	entries[1].Name, entries[1].Origin = "before", handover.OriginOwn
	s := setOf(t, entries, fds)
	_, port, _ := net.SplitHostPort(at[0]) // of a TCP address
	path := filepath.Join(t.TempDir(), "s")
	listen(t, s, "path", path)
	own := listen(t, s, "own", "127.0.0.1:0").Addr().String()
	for _, c := range []struct{ address, want string }{
		{at[0], `the unit passes socket "unit" at ` + at[0] + `: use one name in Listen and FileDescriptorName=`},
		{":" + port, `the unit passes socket "unit" at ` + at[0]},
		{at[1], `an earlier process has bound socket "before" at ` + at[1] + `: use that name, or stop and start the unit`},
		{own, `this process has claimed socket "own" at ` + own + `: claim each socket once`},
		{path, `this process has claimed socket "path" at ` + path},
	} {
		_, err := s.Listen(t.Context(), "other", "", c.address)
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), `socket "other": listen`) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Listen at %s = %v, want %s", c.address, err, c.want)
		}
	}
	if _, err := s.ListenFunc("other", func() (net.Listener, error) { return net.Listen("tcp", own) }); err == nil || !strings.Contains(err.Error(), `"own"`) {
		t.Errorf("ListenFunc = %v, want the socket that has the address", err)
	}
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if _, err := s.Listen(t.Context(), "other", "", foreign.Addr().String()); err == nil || !strings.HasSuffix(err.Error(), "address already in use") {
		t.Errorf("Listen at the address of another program = %v", err)
	}
	udp, err := s.ListenPacket(t.Context(), "udp", "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListenPacket(t.Context(), "other", "udp", udp.LocalAddr().String()); err == nil || !strings.Contains(err.Error(), `"udp"`) {
		t.Errorf("ListenPacket = %v, want the socket that has the address", err)
	}
}

func TestOneListenServesAllListenersOfAUnit(t *testing.T) {
	entries, fds, at := passed(t, "a", "127.0.0.1:0", "127.0.0.1:0")
	s := setOf(t, entries, fds)
	ln := listen(t, s, "a", at[0])
	var tasks sync.WaitGroup
	s.Join(tasks.Go)
	s.Open()
	for _, address := range at {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := accepted.LocalAddr().String(); got != address {
			t.Errorf("a connection to %s was accepted, want %s", got, address)
		}
		_ = accepted.Close() // nothing was written
	}
	s.Refuse()
	tasks.Wait()
}

func TestStraysNameSocketsWhereClientsGetNoAnswer(t *testing.T) {
	entries, fds, at := passed(t, "unit", "127.0.0.1:0", "127.0.0.1:0")
	entries[0].Name, entries[0].Origin = "own", handover.OriginOwn
	s := setOf(t, entries, fds)
	listen(t, s, "own", "127.0.0.1:1")
	s.NoteUnclaimed()
	want := `; socket "own" listens on ` + at[0] + `, not on 127.0.0.1:1: stop and start the unit to move it` +
		`; no Listen has claimed socket "unit" at ` + at[1] + ` of the unit: clients wait there`
	if got := s.Strays(); got != want {
		t.Errorf("Strays = %q, want %q", got, want)
	}
}

func TestThePathOfADeadProcessIsBoundAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead := setOf(t, nil, nil)
	listen(t, dead, "a", path)
	if _, err := setOf(t, nil, nil).Listen(t.Context(), "a", "", path); err == nil {
		t.Error("the path of a process that lives is bound")
	}
	if err := dead.Close(); err != nil { // as a kill, Close leaves the path
		t.Fatal(err)
	}
	s := setOf(t, nil, nil)
	listen(t, s, "a", path)
	if err := s.Abandon(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Abandon leaves the path: %v", err)
	}
}
