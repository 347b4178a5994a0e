//go:build linux

package upgradetest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestServiceGetsItsOwnPID(t *testing.T) {
	th := newTheatre(t, 0)
	th.installUnit("a.socket", "[Socket]", "ListenStream=127.0.0.1:0")
	th.install("Type=notify", "WatchdogSec=1min", "FileDescriptorStoreMax=3", "Sockets=a.socket")
	p := th.startNotify()
	pid := strconv.Itoa(p.PID)
	th.want("ActiveState=active", "SubState=running", "MainPID="+pid)
	for _, name := range []string{"SYSTEMD_EXEC_PID", "WATCHDOG_PID", "LISTEN_PID"} {
		if got := p.Env[name]; got != pid {
			t.Errorf("%s = %q, want the process's own pid %s", name, got, pid)
		}
	}
	if p.Env["WATCHDOG_USEC"] != "60000000" {
		t.Errorf("WATCHDOG_USEC = %q, want one minute", p.Env["WATCHDOG_USEC"])
	}
	if p.Parent != os.Getpid() {
		t.Errorf("parent is %d, want the manager's process %d", p.Parent, os.Getpid())
	}
	th.must(th.Stop(th.ctx, "a.service"))
	p.awaitGone()
	th.want("ActiveState=inactive", "SubState=dead", "Result=success", "MainPID=0")
}

func TestServiceWithoutDescriptorsHasNoListenVariables(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=simple")
	th.must(th.Start(th.ctx, "a.service"))
	for name := range th.next().Env {
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "FDSTORE", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID":
			t.Errorf("%s is set", name)
		}
	}
}

func TestEnvironmentOfTheUnit(t *testing.T) {
	th := newTheatre(t, 0)
	th.install(`Environment="A=1 2" B=3`, "Environment=C=%N", "PassEnvironment=GOROOT_NOT_SET HOME",
		"ExecStart=", "ExecStart=PUPPET ${A} $B $NONE x${C}x $$B 'q u' %%")
	th.must(th.Start(th.ctx, "a.service"))
	p := th.next()
	for name, want := range map[string]string{"A": "1 2", "B": "3", "C": "a", "HOME": os.Getenv("HOME")} {
		if p.Env[name] != want {
			t.Errorf("%s = %q, want %q", name, p.Env[name], want)
		}
	}
	want := []string{"1 2", "3", "xax", "$B", "q u", "%"}
	if strings.Join(p.Args, "|") != strings.Join(want, "|") {
		t.Errorf("arguments %q, want %q", p.Args, want)
	}
}

func TestExecReportsAProgramThatIsMissing(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=exec", "ExecStart=", "ExecStart=/nonexistent/program")
	th.wantExit(th.Start(th.ctx, "a.service"), 1, "control process exited with error code")
	th.want("ActiveState=failed", "Result=exit-code", "ExecMainStatus=203")
	th.logged("/nonexistent/program")
}

func TestExecReportsAProgramThatRuns(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=exec")
	th.must(th.Start(th.ctx, "a.service"))
	th.want("SubState=running")
	th.next()
}

func TestSimpleIsActiveAtOnceAndThenFails(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("ExecStart=", "ExecStart=/nonexistent/program")
	th.must(th.Start(th.ctx, "a.service"))
	th.await("ActiveState=failed", "Result=exit-code", "ExecMainStatus=203")
}

func TestStartTimesOut(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "TimeoutStartSec=200ms", "ExecStart=", "ExecStart=HANG")
	th.wantExit(th.Start(th.ctx, "a.service"), 1, "because a timeout was exceeded")
	th.want("ActiveState=failed", "Result=timeout")
}

func TestExitBeforeReadyIsAProtocolFailure(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	outcome := th.begin(th.Start)
	th.next().exit(0)
	th.wantExit(outcome(), 1, "did not take the steps")
	th.want("ActiveState=failed", "Result=protocol")
}

func TestExitStatusBeforeReadyIsTheResult(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	outcome := th.begin(th.Start)
	th.next().exit(7)
	th.wantExit(outcome(), 1, "control process exited with error code")
	th.want("ActiveState=failed", "Result=exit-code", "ExecMainCode=1", "ExecMainStatus=7")
}

func TestCommandsAroundTheStart(t *testing.T) {
	th := newTheatre(t, 0)
	th.installUnit("a.socket", "[Socket]", "ListenStream=127.0.0.1:0")
	th.install("Type=notify", "Sockets=a.socket", "ExecStartPre=PUPPET pre", "ExecStartPost=PUPPET post")
	outcome := th.begin(th.Start)
	pre := th.next()
	th.want("SubState=start-pre", "ControlPID="+strconv.Itoa(pre.PID), "MainPID=0")
	if _, ok := pre.Env["LISTEN_FDS"]; ok {
		t.Error("ExecStartPre= got LISTEN_FDS")
	}
	pre.exit(0)
	main := th.next()
	if main.Env["LISTEN_FDS"] != "1" {
		t.Errorf("ExecStart= got LISTEN_FDS=%q", main.Env["LISTEN_FDS"])
	}
	main.notify("READY=1")
	post := th.next()
	th.want("SubState=start-post")
	if post.Env["MAINPID"] != strconv.Itoa(main.PID) {
		t.Errorf("ExecStartPost= got MAINPID=%q, want %d", post.Env["MAINPID"], main.PID)
	}
	post.exit(0)
	th.must(outcome())
	th.want("SubState=running")
}

func TestFailingStartPreEndsTheStart(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("ExecStartPre=-PUPPET ignored", "ExecStartPre=PUPPET counts")
	outcome := th.begin(th.Start)
	th.next().exit(1)
	th.next().exit(3)
	th.wantExit(outcome(), 1, "exited with error code")
	th.want("ActiveState=failed", "Result=exit-code", "MainPID=0")
}

func TestRuntimeDirectoryLivesWithTheService(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("RuntimeDirectory=one two/three", "RuntimeDirectoryMode=0700")
	th.must(th.Start(th.ctx, "a.service"))
	p := th.next()
	dirs := filepath.SplitList(p.Env["RUNTIME_DIRECTORY"])
	if len(dirs) != 2 {
		t.Fatalf("RUNTIME_DIRECTORY = %q, want two", p.Env["RUNTIME_DIRECTORY"])
	}
	for _, d := range dirs {
		if st, err := os.Stat(d); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v, want mode 0700", d, st, err)
		}
	}
	th.must(th.Stop(th.ctx, "a.service"))
	for _, d := range dirs {
		if _, err := os.Stat(d); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
}

func TestStartLimitCountsManualStarts(t *testing.T) {
	th := newTheatre(t, 0)
	th.installUnit("a.service", "[Unit]", "StartLimitBurst=2", "StartLimitIntervalSec=1min", "[Service]", "Type=notify", "ExecStart=PUPPET", "FileDescriptorStoreMax=2")
	p := th.startNotify()
	p.store("x", "FDSTORE=1")
	outcome := th.begin(th.Restart)
	th.next().notify("READY=1")
	th.must(outcome())
	th.want("NFileDescriptorStore=1")
	th.wantExit(th.Restart(th.ctx, "a.service"), 1, "attempted too often")
	th.want("ActiveState=failed", "Result=start-limit-hit", "NFileDescriptorStore=0")
}

func TestUnknownUnit(t *testing.T) {
	th := newTheatre(t, 0)
	th.wantExit(th.Start(th.ctx, "none.service"), 5, "Unit none.service not found")
	if got, err := th.Show(th.ctx, "none.service", "LoadState"); got != "not-found" || err != nil {
		t.Errorf("LoadState = %q, %v, want not-found", got, err)
	}
}
