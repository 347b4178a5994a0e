package reexec

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
)

// signals is the channel of SIGHUP, SIGTERM, SIGINT and Options.RestartSignal. It is nil if
// the program handles signals.
type signals chan os.Signal

// catchSignals catches signals from now on. Early signals wait in the channel and then in the
// loop, so none kills the process and none is lost.
func catchSignals(wanted bool, restart syscall.Signal) signals {
	if !wanted {
		return nil
	}
	s := make(signals, 8)
	signal.Notify(s, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	if restart != 0 {
		signal.Notify(s, restart)
	}
	return s
}

// relay posts an event for each signal until ctx ends.
func (s signals) relay(ctx context.Context, restart syscall.Signal, post func(event) bool) {
	defer s.release()
	for {
		select {
		case sig := <-s:
			if sig == syscall.SIGHUP {
				post(event{kind: lifecycle.EvHangup})
			} else {
				post(event{kind: lifecycle.EvStop, restart: sig == restart})
			}
		case <-ctx.Done():
			return
		}
	}
}

// resume catches SIGHUP again, which execImage ignores, after a failed execve.
func (s signals) resume() {
	if s != nil {
		signal.Notify(s, syscall.SIGHUP)
	} else {
		signal.Reset(syscall.SIGHUP)
	}
}

func (s signals) release() {
	if s != nil {
		signal.Stop(s)
	}
}
