//go:build linux

package upgradetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/probe"
	"github.com/cutover-go/cutover/e2e/upgradetest"
	"golang.org/x/sys/unix"
)

func TestCloseEndsEverything(t *testing.T) {
	var processes []*probe.Probe
	t.Run("manager", func(t *testing.T) {
		s := newScene(t, 0)
		s.install("Type=notify", "KillMode=process", "Restart=always", "RestartSec=0", "TimeoutStopSec=200ms", "FileDescriptorStoreMax=1")
		p := s.start()
		p.Do("open", "x", "memfd", "x")
		p.Do("unpolled", "x", "x")
		p.Do("stay")
		child := p.Spawn("child")
		child.Do("stay")
		sibling := p.Spawn("sibling")
		sibling.Do("stay")
		processes = []*probe.Probe{p, child, sibling}
	})
	for _, p := range processes {
		for end := time.Now().Add(time.Minute); !isZombie(p.PID); time.Sleep(time.Millisecond) { // Close cannot wait for the child of another process
			if time.Now().After(end) {
				t.Errorf("process %d of the service is not gone", p.PID)
				break
			}
		}
	}
}

// isZombie reports whether only init is missing to make an end of pid.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestClosedManager(t *testing.T) {
	m, err := upgradetest.NewManager(upgradetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	ctx := t.Context()
	_, showErr := m.Show(ctx, "a.service", "Id")
	_, logErr := m.Log(ctx, "a.service")
	for what, err := range map[string]error{
		"Install": m.Install(ctx, "a.service", someService), "Start": m.Start(ctx, "a.service"), "Stop": m.Stop(ctx, "a.service"),
		"Restart": m.Restart(ctx, "a.service"), "Reload": m.Reload(ctx, "a.service"), "DaemonReload": m.DaemonReload(ctx),
		"Show": showErr, "Log": logErr, "Wait": m.Wait(ctx, "a.service", func(map[string]string) bool { return true }),
	} {
		if !errors.Is(err, upgradetest.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
	if got := m.Messages("a.service"); got != nil {
		t.Errorf("Messages: %v", got)
	}
}

func TestDirectoryIsLeftAsItWas(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m, err := upgradetest.NewManager(upgradetest.Options{Dir: dir, Version: 257})
	if err != nil {
		t.Fatal(err)
	}
	if m.Version() != 257 {
		t.Errorf("version %d", m.Version())
	}
	text := "[Service]\nType=notify\nExecStart=" + exe + " " + readyArg + "\nRuntimeDirectory=a\nRuntimeDirectoryPreserve=yes\n"
	if err := errors.Join(m.Install(t.Context(), "a.service", text), m.Start(t.Context(), "a.service")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run", "a")); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 || left[0] != own {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func TestOutputIsInLogAndWriter(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	m, err := upgradetest.NewManager(upgradetest.Options{Output: &out, Env: []string{"GORACE=atexit_sleep_ms=0"}})
	if err != nil {
		t.Fatal(err)
	}
	// Without a test to direct it the probe says so on stderr and exits.
	err = errors.Join(m.Install(t.Context(), "a.service", "[Service]\nType=notify\nExecStart="+exe+" "+probeArg+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), "a.service"); err == nil {
		t.Error("it started")
	}
	log, err := m.Log(t.Context(), "a.service")
	if err != nil || !strings.Contains(log, "dial unix") || !strings.Contains(log, "status=90") {
		t.Errorf("log %q, %v", log, err)
	}
	if strings.Index(log, "dial unix") > strings.Index(log, "status=90") {
		t.Errorf("log %q, want what the process wrote before what became of it", log)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if got := out.String(); !strings.Contains(got, "dial unix") || strings.Contains(got, "status=90") {
		t.Errorf("output %q, want what the process wrote and no more", got)
	}
}

func TestLogHasLinesThatAreNotFinished(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	p := s.start()
	p.Do("print", "whole\n")
	p.Do("print", "half")
	s.logged("whole\nhalf")
}

func TestWaitEndsWithTheContext(t *testing.T) {
	m := newManager(t, 0)
	if err := m.Install(t.Context(), "a.service", someService); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := m.Wait(ctx, "a.service", func(have map[string]string) bool {
		cancel()
		return have["ActiveState"] == "active"
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "inactive") {
		t.Errorf("Wait: %v, want it canceled and the state named", err)
	}
}

func TestInterruptedStartGoesOn(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan error, 1)
	go func() { outcome <- s.Start(ctx, "a.service") }()
	p := s.next()
	cancel()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v, want it canceled", err)
	}
	p.Send("READY=1")
	s.await("SubState=running")
}

// The host program goes on using os/exec: its children are its own.
func TestHostsChildrenAreLeftAlone(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "Restart=always", "RestartSec=0")
	p := s.start()
	for i := range 10 {
		cmd := exec.Command("/proc/self/exe", idleArg)
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			p = s.restart()
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("wait for a child of the host: %v", err)
		}
	}
	s.want("MainPID=" + p.ID())
}

func TestTwoManagersDoNotMeet(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	p := s.start()
	other := newManager(t, 0)
	exe, err := os.Executable()
	s.must(err)
	s.must(other.Install(t.Context(), "a.service", "[Service]\nType=notify\nExecStart="+exe+" "+readyArg+"\n"))
	s.must(other.Start(t.Context(), "a.service"))
	pid, err := other.Show(t.Context(), "a.service", "MainPID")
	s.must(err)
	p.Send("MAINPID="+pid, "STATUS=read")
	s.want("MainPID="+p.ID(), "StatusText=read")
}

// A host program that is killed, or panics, leaves nothing behind.
func TestHostThatDiesWithoutClose(t *testing.T) {
	host := exec.Command("/proc/self/exe", hostArg)
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := host.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var pids [2]int
	var dir string
	if _, err := fmt.Fscan(stdout, &pids[0], &pids[1], &dir); err != nil {
		t.Fatal(err)
	}
	var watched []unix.PollFd
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		watched = append(watched, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The keeper has the host's stderr and is the last to close it.
	if text, err := io.ReadAll(stderr); err != nil || len(text) > 0 {
		t.Errorf("stderr %q, %v", text, err)
	}
	for i := range watched {
		if n, err := unix.Poll(watched[i:i+1], 10_000); n != 1 || err != nil {
			t.Errorf("process %d of the service lives on: %d, %v", pids[i], n, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	_ = host.Wait() // killed, as it was meant to be
}

func TestOptionsThatAreRefused(t *testing.T) {
	for name, o := range map[string]upgradetest.Options{
		"version":   {Version: 246},
		"env":       {Env: []string{"NOT_A_PAIR"}},
		"directory": {Dir: filepath.Join(t.TempDir(), "missing")},
	} {
		if m, err := upgradetest.NewManager(o); err == nil {
			t.Errorf("%s: a manager was made", name)
			m.Close()
		}
	}
}

func TestManagerNeedsInit(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", noInitArg)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "call upgradetest.Init first") {
		t.Errorf("a program without Init: %v, %s", err, out)
	}
}
