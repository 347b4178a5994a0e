//go:build linux

package notify_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/notify"
)

func TestStoreSendsEachFileByItself(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	r1, w1 := pipe(t)
	r2, _ := pipe(t)
	files := []*os.File{r1, w1, r2}
	if err := n.Store(t.Context(), "pipes", r1, w1, notify.Unpolled(r2)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"FDSTORE=1\nFDNAME=pipes", "FDSTORE=1\nFDNAME=pipes", "FDSTORE=1\nFDNAME=pipes\nFDPOLL=0"} {
		got := m.next(t)
		got.want(t, want, 1)
		if !isSame(t, files[i], got.files[0]) {
			t.Errorf("file %d is another one", i)
		}
	}
	if got := m.queued(t); got != nil {
		t.Errorf("more messages: %q", got)
	}
}

func TestStoredListenerStaysUsable(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := n.Store(t.Context(), "http", ln.(*net.TCPListener)); err != nil {
		t.Fatal(err)
	}
	stored := m.next(t).files[0]
	flags, err := unix.FcntlInt(stored.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v: O_NONBLOCK is lost for every holder of the socket", flags, err)
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestStoreNamesWhatItCouldNotSend(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	open, closed := pipe(t)
	closed.Close()
	err := n.Store(t.Context(), "conns", open, closed, open)
	var se *notify.StoreError
	if !errors.As(err, &se) || se.Name != "conns" || se.Sent != 1 || se.Of != 3 || se.Err == nil {
		t.Errorf("Store: %#v, want a StoreError for the second of three conns", err)
	}
	if want := `notify: store "conns": 1 of 3 sent: `; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Store: %v, want %s...", err, want)
	}
	if got := m.queued(t); len(got) != 1 {
		t.Errorf("manager got %q, want one message", got)
	}
}

func TestStoreRefusesABadNameBeforeSending(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	r, _ := pipe(t)
	for _, name := range []string{"", "a:b", "a\nREADY=1"} {
		var se *notify.StoreError
		if err := n.Store(t.Context(), name, r); !errors.As(err, &se) || se.Name != name || se.Sent != 0 {
			t.Errorf("Store(%q): %v, want a StoreError", name, err)
		}
	}
	if err := n.Remove(t.Context(), "a:b"); err == nil {
		t.Error("Remove takes a bad name")
	}
	if got := m.queued(t); got != nil {
		t.Errorf("manager got %q", got)
	}
}

func TestStoreRefusesNoFile(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	var closed *os.File
	for _, f := range []syscall.Conn{nil, closed, notify.Unpolled(nil)} {
		if err := n.Store(t.Context(), "name", f); err == nil {
			t.Errorf("Store of %v: no error", f)
		}
	}
	if got := m.queued(t); got != nil {
		t.Errorf("manager got %q", got)
	}
}

func TestStoreRefusesWhatCannotFit(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.address)
	t.Setenv("FDSTORE", "2")
	n, err := notify.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r, _ := pipe(t)
	if err := n.Store(t.Context(), "pipe", r, r, r); err == nil || !strings.Contains(err.Error(), "FileDescriptorStoreMax=") {
		t.Errorf("Store of 3 files where 2 fit: %v", err)
	}
	if err := n.Store(t.Context(), "pipe", r, r); err != nil {
		t.Errorf("Store of 2 files where 2 fit: %v", err)
	}
	if got := m.queued(t); len(got) != 2 || n.StoreMax() != 2 {
		t.Errorf("manager got %q, StoreMax %d, want two messages and 2", got, n.StoreMax())
	}
}

func TestRemove(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	for _, name := range []string{"http", ""} {
		if err := n.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		m.next(t).want(t, "FDSTOREREMOVE=1\nFDNAME="+name, 0)
	}
}

func TestMemfdKeepsItsContent(t *testing.T) {
	const state = "sessions: 42"
	m := newManager(t)
	n := m.dial(t)
	f, err := notify.Memfd("sessions", []byte(state))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := n.Store(t.Context(), "sessions", f); err != nil {
		t.Fatal(err)
	}
	stored := m.next(t).files[0]
	for range 2 { // reading leaves it as it is
		if got, err := notify.ReadMemfd(stored); err != nil || string(got) != state {
			t.Errorf("ReadMemfd: %q, %v, want %q", got, err, state)
		}
	}
	if _, err := stored.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("write to a sealed memfd: %v, want %v", err, syscall.EPERM)
	}
	if err := stored.Truncate(0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("truncate a sealed memfd: %v, want %v", err, syscall.EPERM)
	}
}

func TestMemfdOfNothing(t *testing.T) {
	f, err := notify.Memfd("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := notify.ReadMemfd(f); err != nil || len(got) != 0 {
		t.Errorf("ReadMemfd: %q, %v, want nothing", got, err)
	}
}

func TestReadMemfdRefusesWhatCanChange(t *testing.T) {
	raw, err := unix.MemfdCreate("open", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	unsealed := os.NewFile(uintptr(raw), "open")
	defer unsealed.Close()
	if _, err := notify.ReadMemfd(unsealed); err == nil || !strings.Contains(err.Error(), "not sealed") {
		t.Errorf("ReadMemfd of an unsealed memfd: %v", err)
	}
	r, _ := pipe(t)
	if _, err := notify.ReadMemfd(r); err == nil || !strings.Contains(err.Error(), "not a memfd") {
		t.Errorf("ReadMemfd of a pipe: %v", err)
	}
	if _, err := notify.Memfd(strings.Repeat("n", 250), nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Memfd with a name of 250 bytes: %v, want %v", err, syscall.EINVAL)
	}
}
