//go:build linux

package notify_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/notify"
)

const (
	ping    = "WATCHDOG=1"
	timeout = 30 * time.Second
)

// A watched is a RunWatchdog with a timeout of 30 s, in a bubble of its own.
type watched struct {
	*manager
	n      *notify.Notifier
	result chan error
	end    context.CancelFunc
}

// watch starts RunWatchdog with check. The test ends it.
func watch(t *testing.T, check func(context.Context) error) *watched {
	t.Helper()
	w := &watched{manager: newManager(t), result: make(chan error, 1)}
	w.n = w.dial(t)
	if err := w.n.Send(t.Context(), notify.WatchdogTimeout(timeout), notify.Status("serving")); err != nil {
		t.Fatal(err)
	}
	w.queued(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.end = cancel
	go func() { w.result <- w.n.RunWatchdog(ctx, check) }() // ends with end
	synctest.Wait()
	return w
}

// after lets d pass and checks what the manager got in it.
func (w *watched) after(t *testing.T, d time.Duration, want ...string) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
	if got := w.queued(t); !slices.Equal(got, want) {
		t.Errorf("after %v the manager got %q, want %q", d, got, want)
	}
}

func TestWatchdogIsFedThreeTimesInItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, nil)
		w.after(t, 0, ping)
		w.after(t, timeout, ping, ping, ping)
		w.after(t, timeout/3-1)
		w.after(t, 1, ping)
		w.end()
		if err := <-w.result; err != nil {
			t.Errorf("RunWatchdog: %v", err)
		}
		w.after(t, timeout)
	})
}

func TestFailingCheckStopsFeedingAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("database:\nconnection refused")
		var fails atomic.Bool
		w := watch(t, func(context.Context) error {
			if fails.Load() {
				return broken
			}
			return nil
		})
		w.after(t, 0, ping)

		fails.Store(true)
		reason := "STATUS=watchdog: database:; connection refused"
		w.after(t, timeout/3, reason)
		w.after(t, timeout/3, reason)

		fails.Store(false)
		w.after(t, timeout/3, ping+"\nSTATUS=serving")
		w.after(t, timeout/3, ping)

		fails.Store(true)
		w.after(t, timeout/3, reason)
		w.end()
		if err := <-w.result; !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "notify: watchdog not fed: ") {
			t.Errorf("RunWatchdog: %v, want %v", err, broken)
		}
	})
}

func TestHangingCheckIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := watch(t, func(ctx context.Context) error {
			<-release
			return nil
		})
		w.after(t, 0)
		w.after(t, timeout/3, "STATUS=watchdog: check has not returned for 10s")
		w.after(t, timeout)
		close(release)
		// The tick that the check took the time of follows at once.
		w.after(t, 0, ping+"\nSTATUS=serving", ping)
		w.end()
		if err := <-w.result; err != nil {
			t.Errorf("RunWatchdog: %v", err)
		}
	})
}

func TestCheckIsToldWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		<-time.After(timeout / 3)
		synctest.Wait()
		// That the check has not returned may be told as well: both happen now.
		got := w.queued(t)
		if want := "STATUS=watchdog: context deadline exceeded"; len(got) == 0 || got[len(got)-1] != want {
			t.Errorf("the manager got %q, want %q at the end", got, want)
		}
		w.end()
		if err := <-w.result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("RunWatchdog: %v, want %v", err, context.DeadlineExceeded)
		}
		if got := w.queued(t); got != nil {
			t.Errorf("after the end the manager got %q", got)
		}
	})
}

func TestEndDuringACheckSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		w.end()
		if err := <-w.result; err != nil {
			t.Errorf("RunWatchdog: %v", err)
		}
		w.after(t, timeout)
	})
}

func TestNewTimeoutChangesThePaceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, nil)
		w.after(t, time.Second, ping)
		if err := w.n.Send(t.Context(), notify.WatchdogTimeout(3*time.Second)); err != nil {
			t.Fatal(err)
		}
		w.after(t, 0, "WATCHDOG_USEC=3000000", ping)
		w.after(t, 3*time.Second, ping, ping, ping)
		if got := w.n.WatchdogTimeout(); got != 3*time.Second {
			t.Errorf("WatchdogTimeout = %v, want 3s", got)
		}

		if err := w.n.Send(t.Context(), notify.WatchdogTimeout(0)); err != nil {
			t.Fatal(err)
		}
		if err := <-w.result; err != nil {
			t.Errorf("RunWatchdog: %v", err)
		}
		w.after(t, timeout, "WATCHDOG_USEC=0")
	})
}

func TestWatchdogIsHandedOverWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		predecessor := watch(t, nil)
		predecessor.after(t, timeout/2, ping, ping)
		predecessor.end()
		if err := <-predecessor.result; err != nil {
			t.Errorf("RunWatchdog: %v", err)
		}
		if err := predecessor.n.Send(t.Context(), notify.MainPID(4711), notify.Ready, notify.Ping); err != nil {
			t.Fatal(err)
		}
		predecessor.after(t, 0, "MAINPID=4711\nREADY=1\nWATCHDOG=1")

		successor := &watched{manager: predecessor.manager, result: make(chan error, 1)}
		successor.n = successor.inheritor(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { successor.result <- successor.n.RunWatchdog(ctx, nil) }() // ends with cancel
		successor.after(t, 0, ping)
		successor.after(t, timeout/3, ping)
		cancel()
		if err := <-successor.result; err != nil {
			t.Errorf("RunWatchdog: %v", err)
		}
	})
}

// inheritor returns the Notifier of a process that was started with the
// predecessor's environment, but for WATCHDOG_PID.
func (w *watched) inheritor(t *testing.T) *notify.Notifier {
	t.Helper()
	t.Setenv("NOTIFY_SOCKET", w.address)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(timeout.Microseconds(), 10))
	n, err := notify.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func TestWatchdogOutlivesAManagerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, nil)
		w.after(t, 0, ping)
		address := w.address
		w.Close()
		<-time.After(timeout / 3)
		synctest.Wait()
		w.manager = (&manager{UnixConn: w.UnixConn, address: address}).replace(t)
		w.after(t, timeout/3, ping)
		w.end()
		if err := <-w.result; err != nil {
			t.Errorf("RunWatchdog: %v", err)
		}
	})
}

func TestWithoutWatchdogRunReturnsAtOnce(t *testing.T) {
	m := newManager(t)
	n := m.dial(t)
	if err := n.RunWatchdog(t.Context(), func(context.Context) error { return errors.New("called") }); err != nil {
		t.Errorf("RunWatchdog: %v", err)
	}
	if got := m.queued(t); got != nil {
		t.Errorf("manager got %q", got)
	}
}
