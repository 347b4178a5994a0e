package notify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// WatchdogTimeout returns how long the manager waits for a sign of life of this
// process before it kills it: $WATCHDOG_USEC, which stands for the unit's
// WatchdogSec=, or the last assignment WatchdogTimeout. It is 0 if there is no
// watchdog or $WATCHDOG_PID says that another process is watched.
func (n *Notifier) WatchdogTimeout() time.Duration {
	if n == nil {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.watchdog
}

// RunWatchdog feeds the manager's watchdog, at once and then three times in each
// WatchdogTimeout, as long as check returns nil. It returns when ctx ends, nil if
// the watchdog was fed until then and otherwise the reason why it was not; and at
// once, with nil, when there is no watchdog. Nothing is sent after its return.
//
// While check fails nothing is fed, and STATUS= says why; a check that succeeds
// again in time resumes and brings the earlier status back. The ctx of a check ends
// after a third of the timeout, and a check that has not returned by then is
// reported by STATUS= as well. check runs in the goroutine of the caller and may
// be nil.
//
// In an upgrade the predecessor's RunWatchdog has to return before MAINPID= is
// sent; a Ping in that same message starts the timeout anew for the successor,
// whose RunWatchdog begins after it. Call it once at a time.
// Protocol: sd_watchdog_enabled(3).
func (n *Notifier) RunWatchdog(ctx context.Context, check func(context.Context) error) error {
	if n.WatchdogTimeout() == 0 {
		return nil
	}
	if check == nil {
		check = func(context.Context) error { return nil }
	}
	w := watchdog{n: n, check: check}
	w.run(ctx)
	if w.last != nil {
		return fmt.Errorf("notify: watchdog not fed: %w", w.last)
	}
	return nil
}

// A watchdog is one RunWatchdog.
type watchdog struct {
	n     *Notifier
	check func(context.Context) error
	told  bool  // the unit's status is ours at present
	last  error // why it was not fed the last time
}

// run feeds until ctx ends or the watchdog is switched off.
func (w *watchdog) run(ctx context.Context) {
	select {
	case <-w.n.retimed: // before this run
	default:
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.n.retimed: // the new timeout runs already
		case <-ctx.Done():
		}
		pace := w.n.WatchdogTimeout() / 3
		if pace == 0 || ctx.Err() != nil {
			return
		}
		timer.Reset(pace)
		w.feed(ctx, pace)
	}
}

// feed sends one sign of life, or reports why it does not. A check that the end of
// ctx interrupts says nothing about the service, so feed leaves w.last unchanged.
func (w *watchdog) feed(ctx context.Context, limit time.Duration) {
	unfit := w.inspect(ctx, limit)
	if ctx.Err() != nil {
		return
	}
	w.last = unfit
	err := w.report(ctx)
	if ctx.Err() == nil {
		w.last = errors.Join(unfit, err)
	}
}

// report sends what w.last, the result of the check, asks for.
func (w *watchdog) report(ctx context.Context) error {
	if w.last != nil {
		return w.tell(ctx, w.last.Error())
	}
	if !w.told {
		return w.n.send(ctx, []Assignment{Ping})
	}
	w.n.mu.Lock()
	status := w.n.status
	w.n.mu.Unlock()
	err := w.n.send(ctx, []Assignment{Ping, Status(status)})
	w.told = err != nil
	return err
}

// inspect calls check, and tells if it does not come back within limit.
func (w *watchdog) inspect(ctx context.Context, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	told := make(chan struct{})
	stop := context.AfterFunc(limited, func() {
		defer close(told)
		if ctx.Err() == nil {
			_ = w.tell(ctx, fmt.Sprintf("check has not returned for %v", limit)) // the next report meets the same error
		}
	})
	err := w.check(limited)
	if !stop() {
		<-told
	}
	return err
}

// tell makes reason the unit's status.
func (w *watchdog) tell(ctx context.Context, reason string) error {
	w.told = true
	return w.n.send(ctx, []Assignment{Status("watchdog: " + reason)})
}
