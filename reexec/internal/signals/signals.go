// Package signals catches the signals by which a process is asked to reload or to end.
package signals

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signals is the channel of SIGHUP, SIGTERM, SIGINT and Options.RestartSignal. It is nil if
// the program handles signals.
type Signals chan os.Signal

// Catch catches signals from now on. Early signals wait in the channel, so none kills the
// process and none is lost. If wanted is false, it returns nil.
func Catch(wanted bool, restart syscall.Signal) Signals {
	if !wanted {
		return nil
	}
	s := make(Signals, 8)
	signal.Notify(s, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	if restart != 0 {
		signal.Notify(s, restart)
	}
	return s
}

// Relay calls reload for each SIGHUP and stop for the others, until ctx ends.
func (s Signals) Relay(ctx context.Context, reload func(), stop func(os.Signal)) {
	defer s.Release()
	for {
		select {
		case sig := <-s:
			if sig == syscall.SIGHUP {
				reload()
			} else {
				stop(sig)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Resume catches SIGHUP again, which was ignored for an execve that has failed.
func (s Signals) Resume() {
	if s != nil {
		signal.Notify(s, syscall.SIGHUP)
	} else {
		signal.Reset(syscall.SIGHUP)
	}
}

// Release ends the catching.
func (s Signals) Release() {
	if s != nil {
		signal.Stop(s)
	}
}
