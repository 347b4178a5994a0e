//go:build linux

package upgradetest_test

import (
	"strconv"
	"testing"
)

func TestStatusThatIsNotUTF8IsCleared(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	p := th.startNotify()
	for name, text := range map[string]string{"noncharacter": "\ufffe", "noncharacter of another plane": "\U0001ffff"} {
		p.notify("STATUS=before")
		th.want("StatusText=before")
		p.notify("STATUS="+text, "ERRNO=5")
		if got, err := th.Show(th.ctx, "a.service", "StatusText"); got != "" || err != nil {
			t.Errorf("%s: StatusText = %q, %v, want none", name, got, err)
		}
	}
	th.want("StatusErrno=5") // the rest of the message counts
}

func TestErrorNamesAreKeptSince257(t *testing.T) {
	for version, want := range map[int]string{252: "", 257: "org.example.Lost"} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify")
			p := th.startNotify()
			p.notify("BUSERROR=org.example.Lost", "VARLINKERROR=org.example.Lost")
			th.want("StatusBusError="+want, "StatusVarlinkError="+want)
			p.notify("BUSERROR=", "VARLINKERROR=")
			th.want("StatusBusError=", "StatusVarlinkError=")
		})
	}
}

func TestNonsenseTakesAnAccessOverrideBack(t *testing.T) {
	th := newTheatre(t, 254)
	th.install("Type=notify")
	p := th.startNotify()
	p.notify("NOTIFYACCESS=all")
	th.want("NotifyAccess=all")
	p.notify("NOTIFYACCESS=everybody")
	th.want("NotifyAccess=main")
}

func TestExecPIDIsSetSince248(t *testing.T) {
	for version, want := range map[int]bool{247: false, 248: true} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify")
			p := th.startNotify()
			if got, set := p.Env["SYSTEMD_EXEC_PID"]; set != want {
				t.Errorf("SYSTEMD_EXEC_PID = %q, set: %v, want %v", got, set, want)
			}
		})
	}
}

func TestCrashWhileReloadingIsNoticedLateBefore249(t *testing.T) {
	for version, state := range map[int]string{247: "reloading", 249: "failed"} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify", "TimeoutStartSec=3s") // in which it has to start
			p := th.startNotify()
			p.notify("RELOADING=1")
			p.exit(3)
			th.await("MainPID=0")
			th.want("ActiveState=" + state)
			th.await("ActiveState=failed", "Result=exit-code")
		})
	}
}
