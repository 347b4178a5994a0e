//go:build linux

package upgradetest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServiceGetsItsOwnPID(t *testing.T) {
	s := newScene(t, 0)
	s.installUnit("a.socket", "[Socket]", "ListenStream=127.0.0.1:0")
	s.install("Type=notify", "WatchdogSec=1min", "FileDescriptorStoreMax=3", "Sockets=a.socket")
	p := s.start()
	pid := p.ID()
	s.want("ActiveState=active", "SubState=running", "MainPID="+pid)
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
	s.must(s.Stop(s.ctx, "a.service"))
	s.awaitEnd(p)
	s.want("ActiveState=inactive", "SubState=dead", "Result=success", "MainPID=0")
}

func TestServiceWithoutDescriptorsHasNoListenVariables(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=simple")
	s.must(s.Start(s.ctx, "a.service"))
	for name := range s.next().Env {
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "FDSTORE", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID":
			t.Errorf("%s is set", name)
		}
	}
}

func TestEnvironmentOfTheUnit(t *testing.T) {
	s := newScene(t, 0)
	s.install(`Environment="A=1 2" B=3`, "Environment=C=%N", "PassEnvironment=GOROOT_NOT_SET HOME",
		"ExecStart=", `ExecStart=PROBE ${A} $B $NONE x${C}x $$B 'q u' %% ";" \; 'a\x41\sb' \d`)
	s.must(s.Start(s.ctx, "a.service"))
	p := s.next()
	for name, want := range map[string]string{"A": "1 2", "B": "3", "C": "a", "HOME": os.Getenv("HOME")} {
		if p.Env[name] != want {
			t.Errorf("%s = %q, want %q", name, p.Env[name], want)
		}
	}
	want := []string{"1 2", "3", "xax", "$B", "q u", "%", ";", ";", "aA b", `\d`}
	if strings.Join(p.Args, "|") != strings.Join(want, "|") {
		t.Errorf("arguments %q, want %q", p.Args, want)
	}
}

func TestExecReportsAProgramThatIsMissing(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=exec", "ExecStart=", "ExecStart=/nonexistent/program")
	s.wantExit(s.Start(s.ctx, "a.service"), 1, "control process exited with error code")
	s.want("ActiveState=failed", "Result=exit-code", "ExecMainStatus=203")
	s.logged("/nonexistent/program")
}

func TestExecReportsAProgramThatRuns(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=exec")
	s.must(s.Start(s.ctx, "a.service"))
	s.want("SubState=running")
	s.next()
}

func TestSimpleIsActiveAtOnceAndThenFails(t *testing.T) {
	s := newScene(t, 0)
	s.install("ExecStart=", "ExecStart=/nonexistent/program")
	s.must(s.Start(s.ctx, "a.service"))
	s.await("ActiveState=failed", "Result=exit-code", "ExecMainStatus=203")
}

func TestStartTimesOut(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "TimeoutStartSec=200ms", "ExecStart=", "ExecStart=HANG")
	s.wantExit(s.Start(s.ctx, "a.service"), 1, "because a timeout was exceeded")
	s.want("ActiveState=failed", "Result=timeout")
}

func TestExitBeforeReadyIsAProtocolFailure(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	outcome := s.begin(s.Start)
	s.next().Exit(0)
	s.wantExit(outcome(), 1, "did not take the steps")
	s.want("ActiveState=failed", "Result=protocol")
}

func TestExitStatusBeforeReadyIsTheResult(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	outcome := s.begin(s.Start)
	s.next().Exit(7)
	s.wantExit(outcome(), 1, "control process exited with error code")
	s.want("ActiveState=failed", "Result=exit-code", "ExecMainCode=1", "ExecMainStatus=7")
}

func TestCommandsAroundTheStart(t *testing.T) {
	s := newScene(t, 0)
	s.installUnit("a.socket", "[Socket]", "ListenStream=127.0.0.1:0")
	s.install("Type=notify", "Sockets=a.socket", "ExecStartPre=PROBE pre", "ExecStartPost=PROBE post")
	outcome := s.begin(s.Start)
	pre := s.next()
	s.want("SubState=start-pre", "ControlPID="+pre.ID(), "MainPID=0")
	if _, ok := pre.Env["LISTEN_FDS"]; ok {
		t.Error("ExecStartPre= got LISTEN_FDS")
	}
	pre.Exit(0)
	main := s.next()
	if main.Env["LISTEN_FDS"] != "1" {
		t.Errorf("ExecStart= got LISTEN_FDS=%q", main.Env["LISTEN_FDS"])
	}
	main.Send("READY=1")
	post := s.next()
	s.want("SubState=start-post")
	if post.Env["MAINPID"] != main.ID() {
		t.Errorf("ExecStartPost= got MAINPID=%q, want %d", post.Env["MAINPID"], main.PID)
	}
	post.Exit(0)
	s.must(outcome())
	s.want("SubState=running")
}

func TestFailingStartPreEndsTheStart(t *testing.T) {
	s := newScene(t, 0)
	s.install("ExecStartPre=-PROBE ignored", "ExecStartPre=PROBE counts")
	outcome := s.begin(s.Start)
	s.next().Exit(1)
	s.next().Exit(3)
	s.wantExit(outcome(), 1, "exited with error code")
	s.want("ActiveState=failed", "Result=exit-code", "MainPID=0")
}

func TestRuntimeDirectoryLivesWithTheService(t *testing.T) {
	s := newScene(t, 0)
	s.install("RuntimeDirectory=one two/three", "RuntimeDirectoryMode=0700")
	s.must(s.Start(s.ctx, "a.service"))
	p := s.next()
	dirs := filepath.SplitList(p.Env["RUNTIME_DIRECTORY"])
	if len(dirs) != 2 {
		t.Fatalf("RUNTIME_DIRECTORY = %q, want two", p.Env["RUNTIME_DIRECTORY"])
	}
	for _, d := range dirs {
		if st, err := os.Stat(d); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v, want mode 0700", d, st, err)
		}
	}
	s.must(s.Stop(s.ctx, "a.service"))
	for _, d := range dirs {
		if _, err := os.Stat(d); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
}

func TestStartLimitCountsManualStarts(t *testing.T) {
	s := newScene(t, 0)
	s.installUnit("a.service", "[Unit]", "StartLimitBurst=2", "StartLimitIntervalSec=1min", "[Service]", "Type=notify", "ExecStart=PROBE", "FileDescriptorStoreMax=2")
	p := s.start()
	p.Store("x")
	outcome := s.begin(s.Restart)
	s.next().Send("READY=1")
	s.must(outcome())
	s.want("NFileDescriptorStore=1")
	s.wantExit(s.Restart(s.ctx, "a.service"), 1, "attempted too often")
	s.want("ActiveState=failed", "Result=start-limit-hit", "NFileDescriptorStore=0")
}

func TestUnknownUnit(t *testing.T) {
	s := newScene(t, 0)
	s.wantExit(s.Start(s.ctx, "none.service"), 5, "Unit none.service not found")
	if got, err := s.Show(s.ctx, "none.service", "LoadState"); got != "not-found" || err != nil {
		t.Errorf("LoadState = %q, %v, want not-found", got, err)
	}
}
