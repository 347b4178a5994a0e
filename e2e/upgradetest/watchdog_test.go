//go:build linux

package upgradetest_test

import "testing"

func TestWatchdogAbortsAllGenerations(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "WatchdogSec=1min", "Restart=on-watchdog", "RestartSec=0")
	old, main := th.generations()
	main.notify("WATCHDOG_USEC=300000")
	th.want("WatchdogUSec=300ms")
	old.awaitSignal("SIGABRT")
	main.awaitSignal("SIGABRT")
	th.want("SubState=stop-watchdog", "Result=watchdog")
	main.exit(1)
	old.exit(1)
	th.next().notify("READY=1")
	th.await("SubState=running", "NRestarts=1")
	th.want("WatchdogUSec=1min")
}

func TestWatchdogTimesOutWithSIGKILL(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "TimeoutAbortSec=200ms")
	p := th.startNotify()
	p.notify("WATCHDOG=trigger")
	p.awaitGone() // it catches SIGABRT and stays
	th.await("ActiveState=failed", "Result=watchdog", "ExecMainStatus=9")
}
