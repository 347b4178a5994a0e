//go:build linux

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
)

func TestSendReachesTheManagerAsOneMessage(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	if err := n.Send(t.Context(), notify.MainPID(4711), notify.Ready, notify.Status("gen 2\n")); err != nil {
		t.Fatal(err)
	}
	got := m.next(t)
	got.want(t, "MAINPID=4711\nREADY=1\nSTATUS=gen 2", 0)
	if got.pid != os.Getpid() {
		t.Errorf("message from %d, want %d", got.pid, os.Getpid())
	}
}

func TestSendReachesAnAbstractAddress(t *testing.T) {
	m := newManagerAt(t, fmt.Sprintf("@cutover-notify-%d-%d", os.Getpid(), time.Now().UnixNano()))
	n := m.dial(t)
	if err := n.Send(t.Context(), notify.Stopping); err != nil {
		t.Fatal(err)
	}
	m.next(t).want(t, "STOPPING=1", 0)
}

func TestReloadingCarriesTheTime(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	before, err := fd.Monotonic()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Send(t.Context(), notify.Reloading(), notify.Ready); err != nil {
		t.Fatal(err)
	}
	after, err := fd.Monotonic()
	if err != nil {
		t.Fatal(err)
	}
	text := m.next(t).text
	stamp, ok := strings.CutPrefix(text, "RELOADING=1\nMONOTONIC_USEC=")
	stamp, ok2 := strings.CutSuffix(stamp, "\nREADY=1")
	usec, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || !ok2 || err != nil || usec < before.Microseconds() || usec > after.Microseconds() {
		t.Errorf("message %q, want a time from %d to %d", text, before.Microseconds(), after.Microseconds())
	}
}

func TestMainPIDFDCarriesTheDescriptor(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	raw, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	pidfd := os.NewFile(uintptr(raw), "pidfd")
	defer pidfd.Close()
	if err := n.Send(t.Context(), notify.MainPIDFD(pidfd), notify.Ready); err != nil {
		t.Fatal(err)
	}
	got := m.next(t)
	got.want(t, "MAINPIDFD=1\nREADY=1", 1)
	if !isSame(t, pidfd, got.files[0]) {
		t.Error("the manager got another descriptor")
	}
}

func TestRefusedMessageSendsNothing(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	if err := n.Send(t.Context(), notify.Ready, notify.MainPID(0)); err == nil || !strings.HasPrefix(err.Error(), "notify: MAINPID=0") {
		t.Errorf("Send: %v, want an error", err)
	}
	if got := m.queued(t); got != nil {
		t.Errorf("manager got %q", got)
	}
}

func TestSendUnderEndedContextSendsNothing(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("superseded")
	cancel(cause)
	if err := n.Send(ctx, notify.Ready); !errors.Is(err, cause) {
		t.Errorf("Send: %v, want %v", err, cause)
	}
	if got := m.queued(t); got != nil {
		t.Errorf("manager got %q", got)
	}
}

// fill sends until the manager's queue is full. The Send that it leaves blocked
// ends with ctx, n or the manager; its error is in the channel then.
func fill(ctx context.Context, t testing.TB, n *notify.Notifier) <-chan error {
	t.Helper()
	refusals := 0
	waits := make(chan struct{})
	notify.WrapSend(n, func(send notify.SendFunc) notify.SendFunc {
		return func(raw uintptr, text, rights []byte) error {
			err := send(raw, text, rights)
			if errors.Is(err, syscall.EAGAIN) {
				if refusals++; refusals == 2 { // the attempt, and the one after which Send waits
					close(waits)
				}
			}
			return err
		}
	})
	blocked := make(chan error, 1)
	go func() { // ends with the Send that had to wait
		for refusals == 0 {
			if err := n.Send(ctx, notify.Ping); err != nil || refusals > 0 {
				blocked <- err
				return
			}
		}
	}()
	select {
	case <-waits:
	case <-time.After(patience):
		t.Fatal("the queue does not fill")
	}
	return blocked
}

func TestFullQueueEndsWithTheContext(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	blocked := fill(ctx, t, n)
	cause := errors.New("superseded")
	cancel(cause)
	if err := <-blocked; !errors.Is(err, cause) || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("Send: %v, want %v", err, cause)
	}

	m.queued(t)
	if err := n.Send(t.Context(), notify.Ready); err != nil {
		t.Errorf("Send to a manager that reads again: %v", err)
	}
	m.next(t).want(t, "READY=1", 0)
}

func TestFullQueueEndsWithTheDeadline(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	blocked := fill(ctx, t, m.dial(t))
	hurried, stop := context.WithTimeout(t.Context(), 50*time.Millisecond) // the queue may fill more slowly
	defer stop()
	if err := n.Send(hurried, notify.Ping); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send: %v, want %v", err, context.DeadlineExceeded)
	}
	cancel()
	<-blocked
}

func TestSenderBehindABlockedOneKeepsItsDeadline(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	blocked := fill(ctx, t, n)
	hurried, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if err := n.Send(hurried, notify.Ready); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send: %v, want %v", err, context.DeadlineExceeded)
	}
	cancel()
	<-blocked
}

func TestFullQueueEndsWhenTheManagerReads(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	blocked := fill(t.Context(), t, n)
	for range 2 {
		m.next(t)
	}
	if err := <-blocked; err != nil {
		t.Errorf("Send: %v", err)
	}
}

func TestCloseEndsABlockedSend(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	blocked := fill(t.Context(), t, n)
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := <-blocked; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send: %v, want %v", err, net.ErrClosed)
	}
	for name, err := range map[string]error{
		"Send":    n.Send(t.Context(), notify.Ready),
		"Barrier": n.Barrier(t.Context()),
		"Store":   n.Store(t.Context(), "name", os.Stdin),
		"Remove":  n.Remove(t.Context(), "name"),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v, want %v", name, err, net.ErrClosed)
		}
	}
}

func TestManagerThatWasReplacedIsFoundAgain(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	for range 2 {
		m = m.replace(t)
		if err := n.Send(t.Context(), notify.Ready); err != nil {
			t.Fatal(err)
		}
		m.next(t).want(t, "READY=1", 0)
	}
}

func TestManagerThatIsGoneIsAnErrorUntilItIsBack(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	m.Close()
	for _, want := range []error{syscall.ECONNREFUSED, syscall.ENOTCONN} {
		if err := n.Send(t.Context(), notify.Ready); !errors.Is(err, want) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Send: %v, want one that wraps %v and %v", err, want, syscall.ECONNREFUSED)
		}
	}
	m = m.replace(t)
	if err := n.Send(t.Context(), notify.Ready); err != nil {
		t.Fatal(err)
	}
	m.next(t).want(t, "READY=1", 0)
}

// failing makes the first calls fail with errs, and counts.
func failing(n *notify.Notifier, errs ...error) (calls *int) {
	calls = new(int)
	notify.WrapSend(n, func(send notify.SendFunc) notify.SendFunc {
		return func(raw uintptr, text, rights []byte) error {
			*calls++
			if *calls <= len(errs) {
				return os.NewSyscallError("sendmsg", errs[*calls-1])
			}
			return send(raw, text, rights)
		}
	})
	return calls
}

func TestSendIsTriedAgainWhenTheKernelHasNoMemory(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	calls := failing(n, syscall.ENOBUFS, syscall.EAGAIN, syscall.ENOBUFS, syscall.ETOOMANYREFS)
	if err := n.Send(t.Context(), notify.Ready); err != nil {
		t.Error(err)
	}
	if got := m.queued(t); *calls != 5 || len(got) != 1 || got[0] != "READY=1" {
		t.Errorf("%d calls, manager got %q, want 5 and READY=1", *calls, got)
	}
}

func TestSendGivesUpOnMemoryWithItsContext(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	notify.WrapSend(n, func(notify.SendFunc) notify.SendFunc {
		return func(uintptr, []byte, []byte) error {
			cancel()
			return syscall.ENOBUFS
		}
	})
	if err := n.Send(ctx, notify.Ready); !errors.Is(err, context.Canceled) || !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("Send: %v, want %v and %v", err, context.Canceled, syscall.ENOBUFS)
	}
}

func TestOtherErrorsAreNotTriedAgain(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	calls := failing(n, syscall.EPERM)
	if err := n.Send(t.Context(), notify.Ready); !errors.Is(err, syscall.EPERM) || *calls != 1 {
		t.Errorf("Send: %v after %d calls, want %v after 1", err, *calls, syscall.EPERM)
	}
}

func TestManySendersDoNotMixTheirMessages(t *testing.T) {
	const senders, each = 8, 50
	m := newManager(t)
	n := m.dial(t)
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for j := range each {
				if err := n.Send(t.Context(), notify.Status(strings.Repeat("x", i)), notify.Custom("X_J", strconv.Itoa(j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make([]int, senders)
	for range senders * each {
		status, j, _ := strings.Cut(m.next(t).text, "\nX_J=")
		i := len(status) - len("STATUS=")
		if j != strconv.Itoa(next[i]) {
			t.Errorf("message %s of sender %d, want %d", j, i, next[i])
		}
		next[i]++
	}
	all.Wait()
}
