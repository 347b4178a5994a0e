//go:build linux

package upgradetest_test

import "testing"

func TestWatchdogAbortsAllGenerations(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "WatchdogSec=1min", "Restart=on-watchdog", "RestartSec=0")
	old, main := s.generations()
	main.Send("WATCHDOG_USEC=300000")
	s.want("WatchdogUSec=300ms")
	old.AwaitSignal("SIGABRT")
	main.AwaitSignal("SIGABRT")
	s.want("SubState=stop-watchdog", "Result=watchdog")
	main.Exit(1)
	old.Exit(1)
	s.next().Send("READY=1")
	s.await("SubState=running", "NRestarts=1")
	s.want("WatchdogUSec=1min")
}

func TestWatchdogTimesOutWithSIGKILL(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "TimeoutAbortSec=200ms")
	p := s.start()
	p.Do("stay")
	p.Begin("send", "WATCHDOG=trigger")
	p.AwaitGone() // it catches SIGABRT and stays
	s.await("ActiveState=failed", "Result=watchdog", "ExecMainStatus=9")
}
