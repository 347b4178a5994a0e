// Package signals catches the signals by which a process is asked to reload or to end.
package signals

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signals has the signals that wait to be relayed. Package os/signal drops a signal whose channel is
// full, so a stop has another channel than a reload: however many SIGHUPs come while the process is
// busy, a SIGTERM is not lost. One SIGHUP that waits stands for all later ones.
type Signals struct{ reloads, stops chan os.Signal }

// Catch catches SIGHUP, SIGTERM, SIGINT and Options.RestartSignal from now on. Early signals wait,
// so none kills the process and none is lost. If wanted is false, the program handles signals, and
// Catch returns nil.
func Catch(wanted bool, restart syscall.Signal) *Signals {
	if !wanted {
		return nil
	}
	s := &Signals{make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(s.stops, syscall.SIGTERM, syscall.SIGINT)
	if restart != 0 {
		signal.Notify(s.stops, restart)
	}
	signal.Notify(s.reloads, syscall.SIGHUP)
	return s
}

// Relay calls reload for SIGHUP and stop for the others, until ctx ends.
func (s *Signals) Relay(ctx context.Context, reload func(), stop func(os.Signal)) {
	if s == nil {
		<-ctx.Done()
		return
	}
	defer s.Release()
	for {
		select {
		case <-s.reloads:
			reload()
		case sig := <-s.stops:
			stop(sig)
		case <-ctx.Done():
			return
		}
	}
}

// Resume catches SIGHUP again, which was ignored for an execve that has failed.
func (s *Signals) Resume() {
	if s != nil {
		signal.Notify(s.reloads, syscall.SIGHUP)
	} else {
		signal.Reset(syscall.SIGHUP)
	}
}

// Release ends the catching.
func (s *Signals) Release() {
	if s != nil {
		signal.Stop(s.reloads)
		signal.Stop(s.stops)
	}
}
