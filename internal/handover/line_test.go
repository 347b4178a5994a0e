//go:build linux

package handover_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
)

// pair returns the two ends of a line.
func pair(t testing.TB) (a, b *handover.Conn) {
	t.Helper()
	x, y, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	return end(t, x), end(t, y)
}

func end(t testing.TB, f *fd.FD) *handover.Conn {
	t.Helper()
	c, err := handover.NewConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// wire returns an end of a line and, at the other, the socket itself.
func wire(t testing.TB) (*handover.Conn, *net.UnixConn) {
	t.Helper()
	x, y, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := y.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return end(t, x), raw.(*net.UnixConn)
}

// files returns n descriptors, each of another pipe's end.
func files(t testing.TB, n int) []*fd.FD {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	fds := make([]*fd.FD, n)
	for i := range fds {
		if fds[i], err = fd.DupOf(r); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { fd.CloseAll(fds) })
	return fds
}

// carried returns the descriptors that came with m.
func carried(m handover.Message) []*fd.FD {
	switch m := m.(type) {
	case handover.Descriptors:
		return m.FDs
	case handover.States:
		return m.FDs
	case handover.Goodbye:
		return m.FDs
	case handover.Third:
		return m.FDs
	case handover.Command:
		return m.FDs
	case handover.LastGood:
		return m.FDs
	case handover.Connections:
		return m.FDs
	}
	return nil
}

func TestALineNeedsASeqpacketSocket(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	before := len(leak.Descriptors())
	for name, f := range map[string]func() (*fd.FD, error){
		"pipe":     func() (*fd.FD, error) { return fd.DupOf(r) },
		"listener": func() (*fd.FD, error) { return fd.DupOf(stream.(*net.TCPListener)) },
		"nothing":  func() (*fd.FD, error) { return fd.New(1 << 20), nil },
	} {
		d, err := f()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := handover.NewConn(d); err == nil {
			t.Errorf("NewConn(%s) succeeded", name)
			_ = c.Close()
		}
	}
	if after := len(leak.Descriptors()); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestAClosedLineIsEOFForTheOtherEnd(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	if err := a.Send(ctx, handover.Superseded{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Receive(ctx); err != nil || m != (handover.Superseded{}) {
		t.Errorf("Receive = %v, %v, want what was sent before the end", m, err)
	}
	if m, err := b.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("Receive = %v, %v, want io.EOF", m, err)
	}
	if err := b.Send(ctx, handover.Go{}); !errors.Is(err, io.EOF) {
		t.Errorf("Send = %v, want io.EOF", err)
	}
}

// The peer ends with an unread message in its queue. The kernel reports that as
// ECONNRESET.
func TestAnUnreadMessageDoesNotHideTheEnd(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	if err := b.Send(ctx, handover.Committed{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if m, err := b.Receive(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("Receive = %v, %v, want io.EOF", m, err)
		}
	}
}

// The peer sends a message and ends with an unread message in its queue. The kernel
// reports the ECONNRESET first.
func TestTheLastMessageOfAPeerIsReceived(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	for _, m := range []handover.Message{handover.Go{}, handover.Committed{}} {
		if err := b.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	words := []handover.Message{handover.Superseded{}, handover.Failed{Reason: "why"}}
	for _, m := range words {
		if err := a.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range words {
		if m, err := b.Receive(ctx); err != nil || m != want {
			t.Errorf("Receive = %v, %v, want %v", m, err, want)
		}
	}
	if m, err := b.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("Receive = %v, %v, want io.EOF", m, err)
	}
}

func TestReceiveEndsWithItsContextAndCanGoOn(t *testing.T) {
	a, b := pair(t)
	why := errors.New("enough")
	for range 100 {
		ctx, cancel := context.WithCancelCause(context.Background())
		done := make(chan error, 1)
		go func() { // ends with ctx; joined below
			_, err := b.Receive(ctx)
			done <- err
		}()
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Fatalf("Receive = %v, want the cause of its context", err)
		}
		if err := a.Send(context.Background(), handover.Go{}); err != nil {
			t.Fatal(err)
		}
		if m, err := b.Receive(context.Background()); err != nil || m != (handover.Go{}) {
			t.Fatalf("the next Receive = %v, %v", m, err)
		}
	}
}

// The queue of the peer is full.
func TestSendToAPeerThatReadsNothingEndsWithItsContext(t *testing.T) {
	a, b := pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	full := make(chan struct{}, 1)
	go func() { // ends with ctx; joined below
		n := 0
		for a.Send(ctx, handover.Go{}) == nil {
			n++
			select {
			case full <- struct{}{}:
			default:
			}
		}
		done <- n
	}()
	<-full // at least one went through; the queue is full soon, or ctx ends a later Send
	cancel()
	sent := <-done
	for range sent { // none was lost or cut
		if m, err := b.Receive(context.Background()); err != nil || m != (handover.Go{}) {
			t.Fatalf("Receive = %v, %v", m, err)
		}
	}
	if err := a.Send(context.Background(), handover.Serving{}); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Receive(context.Background()); err != nil || m != (handover.Serving{}) {
		t.Errorf("after the interrupted Send: %v, %v", m, err)
	}
}

func TestADuplicateIsTheSameEndOfTheLine(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	f, err := a.Dup()
	if err != nil {
		t.Fatal(err)
	}
	again := end(t, f)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(ctx, handover.Stopping{}); err != nil {
		t.Fatal(err)
	}
	if m, err := again.Receive(ctx); err != nil || m != (handover.Stopping{}) {
		t.Errorf("Receive = %v, %v", m, err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("Receive = %v, %v, want io.EOF once the last duplicate is closed", m, err)
	}
}

func TestAStatesMessageWithoutStateIsNotSent(t *testing.T) {
	c, raw := wire(t)
	err := c.SendStates(t.Context(), handover.States{Stored: []string{}})
	if err == nil {
		err = c.Send(t.Context(), handover.Go{})
	}
	frame := make([]byte, 64)
	n, rerr := raw.Read(frame)
	if err := errors.Join(err, rerr); err != nil || string(frame[:n]) != "CO\x01\x06{}" {
		t.Errorf("first frame %q, %v, want that of Go", frame[:n], err)
	}
}
