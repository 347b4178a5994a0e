package reexec

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signals is where SIGHUP, SIGTERM, SIGINT and Options.RestartSignal wait for the
// loop; nil if the program handles them itself.
type signals chan os.Signal

// catchSignals catches signals from now on. What arrives before the generation
// can act on it waits in the channel and then in the loop: none is fatal, none is
// lost.
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

// relay posts what the signals ask for until ctx ends.
func (s signals) relay(ctx context.Context, restart syscall.Signal, post func(event) bool) {
	defer s.release()
	for {
		select {
		case sig := <-s:
			if sig == syscall.SIGHUP {
				post(event{kind: evHangup})
			} else {
				post(event{kind: evStop, restart: sig == restart})
			}
		case <-ctx.Done():
			return
		}
	}
}

// resume catches SIGHUP again after it was ignored for an execve that has failed.
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
