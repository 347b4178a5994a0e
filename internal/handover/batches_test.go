//go:build linux

package handover_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
	"golang.org/x/sys/unix"
)

// set is n descriptors of different files, described.
func set(t testing.TB, n int) (entries []handover.Entry, fds []*fd.FD) {
	t.Helper()
	for i := range n {
		raw, err := unix.MemfdCreate("entry", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, handover.Entry{Name: "socket", Index: i, Origin: handover.OriginOwn})
		fds = append(fds, fd.New(raw))
	}
	t.Cleanup(func() { fd.CloseAll(fds) })
	return entries, fds
}

// conns is fds as SendDescriptors takes them.
func conns(fds []*fd.FD) []syscall.Conn {
	all := make([]syscall.Conn, len(fds))
	for i, f := range fds {
		all[i] = f
	}
	return all
}

func inode(t testing.TB, f *fd.FD) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(f.Raw(), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestAnyNumberOfDescriptorsArrivesInOrder(t *testing.T) {
	raise(t, 4096)
	for _, n := range []int{0, 1, 252, 253, 254, 506, 507, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			a, b := pair(t)
			entries, fds := set(t, n)
			before := len(leak.Descriptors())
			sent := make(chan error, 1)
			go func() { sent <- a.SendDescriptors(context.Background(), entries, conns(fds)) }() // joined below
			names, got, err := b.ReceiveDescriptors(context.Background())
			if err := errors.Join(err, <-sent); err != nil {
				t.Fatal(err)
			}
			if len(names) != n || len(got) != n || len(leak.Descriptors()) != before+n {
				t.Fatalf("%d names, %d descriptors, %d open; want %d", len(names), len(got), len(leak.Descriptors())-before, n)
			}
			for i, f := range got {
				if names[i] != entries[i] || inode(t, f) != inode(t, fds[i]) {
					t.Errorf("descriptor %d is another one, called %+v", i, names[i])
				}
			}
			checkCloexec(t, got)
			fd.CloseAll(got)
		})
	}
}

func checkCloexec(t *testing.T, fds []*fd.FD) {
	t.Helper()
	for _, f := range fds {
		if flags, err := unix.FcntlInt(uintptr(f.Raw()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec (%v)", f.Raw(), err)
		}
	}
}

// raise makes room for more descriptors.
func raise(t testing.TB, n uint64) { limit(t, max(n, rlimit(t).Cur)) }

func rlimit(t testing.TB) (l unix.Rlimit) {
	t.Helper()
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// limit sets the soft RLIMIT_NOFILE until the test ends.
func limit(t testing.TB, n uint64) {
	t.Helper()
	old := rlimit(t)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(n, old.Max), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	})
}

// With a low LimitNOFILE= the kernel drops a part of the batch.
func TestAReceiverWithoutRoomFailsAndKeepsNothing(t *testing.T) {
	a, b := pair(t)
	entries, fds := set(t, 100)
	before := len(leak.Descriptors())
	limit(t, uint64(before+50))
	ctx, cancel := context.WithCancel(context.Background())
	sent := make(chan error, 1)
	go func() { sent <- a.SendDescriptors(ctx, entries, conns(fds)) }() // joined below
	_, got, err := b.ReceiveDescriptors(context.Background())
	if !errors.Is(err, handover.ErrProtocol) || !strings.Contains(err.Error(), "LimitNOFILE=") || got != nil {
		t.Errorf("ReceiveDescriptors = %d descriptors, %v, want an error that names LimitNOFILE=", len(got), err)
	}
	cancel()
	if err := <-sent; !errors.Is(err, context.Canceled) {
		t.Errorf("SendDescriptors = %v", err)
	}
	if after := len(leak.Descriptors()); after != before {
		t.Errorf("%d descriptors left open", after-before)
	}
}

// The receiver can refuse the connections, and the line still works.
func TestConnectionsArriveWithoutDescriptorsIfThereIsNoRoom(t *testing.T) {
	a, b := pair(t)
	_, fds := set(t, 100)
	m := handover.Connections{Connections: make([]handover.Connection, len(fds)), FDs: fds}
	for i := range m.Connections {
		m.Connections[i] = handover.Connection{Name: "a", Format: "f"}
	}
	if err := a.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(context.Background(), handover.Go{}); err != nil {
		t.Fatal(err)
	}
	before := len(leak.Descriptors())
	limit(t, uint64(before+50))
	got, err := b.Receive(context.Background())
	if c, ok := got.(handover.Connections); err != nil || !ok || len(c.Connections) != 100 || len(c.FDs) != 0 {
		t.Errorf("Receive = %T, %v, want 100 connections without descriptors", got, err)
	}
	if after := len(leak.Descriptors()); after != before {
		t.Errorf("%d descriptors left open", after-before)
	}
	if got, err := b.Receive(context.Background()); err != nil || got != (handover.Go{}) {
		t.Errorf("the next message: %v, %v", got, err)
	}
}

// The predecessor answers the command itself then, and a hint of a newer program is skipped.
func TestHintsArriveWithoutDescriptorsIfThereIsNoRoom(t *testing.T) {
	b, raw := wire(t)
	fds := files(t, 1)
	writeRaw(t, raw, "CO\x01\x85{}", fds)
	writeRaw(t, raw, "CO\x01\xfa{}", fds)
	writeRaw(t, raw, "CO\x01\x06{}", nil)
	before := len(leak.Descriptors())
	limit(t, 1)
	first, err := b.Receive(context.Background())
	if c, ok := first.(handover.Command); err != nil || !ok || len(c.FDs) != 0 {
		t.Errorf("Receive = %#v, %v, want a Command without a descriptor", first, err)
	}
	if got, err := b.Receive(context.Background()); err != nil || got != (handover.Go{}) {
		t.Errorf("the next message: %v, %v", got, err)
	}
	limit(t, 1024)
	if after := len(leak.Descriptors()); after != before {
		t.Errorf("%d descriptors left open", after-before)
	}
}

// The predecessor ends after a part of the set.
func TestALineThatBreaksBetweenBatchesLeavesNoDescriptor(t *testing.T) {
	breaks := map[string]func(testing.TB, *handover.Conn){
		"by its end": func(t testing.TB, c *handover.Conn) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		},
		"by nonsense": func(t testing.TB, c *handover.Conn) {
			if err := c.Send(context.Background(), handover.Goodbye{FDs: files(t, 2)}); err != nil {
				t.Error(err)
			}
		},
		"by a failure": func(t testing.TB, c *handover.Conn) {
			if err := c.Send(context.Background(), handover.Failed{Reason: "no"}); err != nil {
				t.Error(err)
			}
		},
	}
	for name, spoil := range breaks {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			entries, fds := set(t, 5)
			if err := a.Send(context.Background(), handover.Descriptors{Entries: entries, FDs: fds}); err != nil {
				t.Fatal(err)
			}
			spoil(t, a)
			before := len(leak.Descriptors())
			if _, got, err := b.ReceiveDescriptors(context.Background()); err == nil || got != nil {
				t.Errorf("ReceiveDescriptors = %d descriptors, %v", len(got), err)
			}
			if after := len(leak.Descriptors()); after != before {
				t.Errorf("%d descriptors left open", after-before)
			}
		})
	}
}

func TestAWrongAcknowledgementLeavesNoDescriptor(t *testing.T) {
	a, b := pair(t)
	entries, fds := set(t, 1)
	if err := b.Send(context.Background(), handover.Goodbye{FDs: fds}); err != nil {
		t.Fatal(err)
	}
	before := len(leak.Descriptors())
	if err := a.SendDescriptors(context.Background(), entries, conns(fds)); !errors.Is(err, handover.ErrProtocol) {
		t.Errorf("SendDescriptors = %v, want ErrProtocol", err)
	}
	if after := len(leak.Descriptors()); after != before {
		t.Errorf("%d descriptors left open", after-before)
	}
}

// In an upgrade the ready timeout ends the successor, and thereby the send.
func TestASuccessorThatReadsNothingBlocksTheSenderUntilItEnds(t *testing.T) {
	a, b := pair(t)
	entries, fds := set(t, 300)
	sent := make(chan error, 1)
	go func() { sent <- a.SendDescriptors(context.Background(), entries, conns(fds)) }() // joined below
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; !errors.Is(err, io.EOF) {
		t.Errorf("SendDescriptors = %v, want io.EOF", err)
	}
}
