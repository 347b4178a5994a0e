//go:build linux

package upgradetest_test

import (
	"strconv"
	"testing"
)

func TestServiceGetsItsOwnPID(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "WatchdogSec=1min", "FileDescriptorStoreMax=3")
	p := th.startNotify()
	pid := strconv.Itoa(p.PID)
	th.want("ActiveState=active", "SubState=running", "MainPID="+pid)
	for _, name := range []string{"SYSTEMD_EXEC_PID", "WATCHDOG_PID"} {
		if got := p.Env[name]; got != pid {
			t.Errorf("%s = %q, want the process's own pid %s", name, got, pid)
		}
	}
	if err := th.Stop(th.ctx, "a.service"); err != nil {
		t.Error(err)
	}
	p.awaitGone()
	th.want("ActiveState=inactive", "SubState=dead", "Result=success", "MainPID=0")
}
