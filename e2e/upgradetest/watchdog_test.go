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

func TestWatchdogIsFed(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "WatchdogSec=2s")
	p := th.startNotify()
	for range 2 {
		p.do("wait", "", 1100)
		p.notify("WATCHDOG=1")
	}
	th.want("SubState=running", "Result=success")
}

func TestWatchdogRunsOnOverAHandOver(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "WatchdogSec=3s")
	old, main := th.generations() // MAINPID= does not feed it
	main.awaitSignal("SIGABRT")
	th.want("Result=watchdog")
	old.exit(0)
	main.exit(0)
}

func TestWatchdogTrigger(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify") // works without WatchdogSec=
	p := th.startNotify()
	p.notify("WATCHDOG=trigger")
	p.awaitSignal("SIGABRT")
	th.want("Result=watchdog")
	p.exit(1)
	th.await("ActiveState=failed", "Result=watchdog")
}

func TestExtendTimeoutHoldsTheWatchdog(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "WatchdogSec=1s")
	p := th.startNotify()
	p.notify("EXTEND_TIMEOUT_USEC=60000000")
	p.do("wait", "", 1200)
	th.want("SubState=running", "Result=success")
}

func TestWatchdogTimesOutWithSIGKILL(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "TimeoutAbortSec=200ms")
	p := th.startNotify()
	p.notify("WATCHDOG=trigger")
	p.awaitGone() // it catches SIGABRT and stays
	th.await("ActiveState=failed", "Result=watchdog", "ExecMainStatus=9")
}
