//go:build linux

package fd_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/leak"
	"golang.org/x/sys/unix"
)

func TestAStartedProgramFollowsItsSpec(t *testing.T) {
	s := specOf("report")
	s.Dir = t.TempDir()
	s.Env = append(s.Env, "ONE=1")
	p := start(t, s)
	c := p.condition(t)
	if c.PID != p.PID || c.Parent != os.Getpid() {
		t.Errorf("pid %d with parent %d, want %d and us, %d", c.PID, c.Parent, p.PID, os.Getpid())
	}
	if !slices.Equal(c.Args, s.Args) || c.Dir != s.Dir || !slices.Equal(c.Env, s.Env) {
		t.Errorf("got %q in %s with %q, want %q in %s with %q", c.Args, c.Dir, c.Env, s.Args, s.Dir, s.Env)
	}
	for _, target := range ours(t) {
		if slices.ContainsFunc(c.Open, func(open string) bool { return strings.HasSuffix(open, " "+target) }) {
			t.Errorf("%s was passed", target)
		}
	}
}

// ours returns the names of the sockets and pipes of this process that are not
// meant for another program, such as our end of the line.
func ours(t *testing.T) (targets []string) {
	t.Helper()
	for _, open := range leak.Descriptors() {
		number, target, _ := strings.Cut(open, " ")
		raw, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		flags, err := unix.FcntlInt(uintptr(raw), unix.F_GETFD, 0)
		if private := err == nil && flags&unix.FD_CLOEXEC != 0; private && strings.Contains(target, ":[") && !strings.HasPrefix(target, "anon_inode") {
			targets = append(targets, target)
		}
	}
	if len(targets) == 0 {
		t.Error("this process has no socket of its own")
	}
	return targets
}

// os/exec would clear O_NONBLOCK of the shared file description.
func TestAStartLeavesTheLineNonBlocking(t *testing.T) {
	p := start(t, specOf("report"))
	p.condition(t)
	d, err := fd.DupOf(p.line.(*net.UnixConn))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if flags, err := unix.FcntlInt(uintptr(d.Raw()), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags of the line: %#x, %v, want O_NONBLOCK", flags, err)
	}
}

func TestTheEndOfAProgramIsSeen(t *testing.T) {
	ends := []struct {
		name, state string
		end         func(*testing.T, started)
	}{
		{"exit 0", "exited with status 0", func(t *testing.T, p started) { p.exit(t, 0) }},
		{"exit 7", "exited with status 7", func(t *testing.T, p started) { p.exit(t, 7) }},
		{"killed", "was ended by SIGKILL", func(t *testing.T, p started) {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		}},
		{"signalled", "was ended by SIGTERM", func(t *testing.T, p started) {
			if err := unix.Kill(p.PID, unix.SIGTERM); err != nil {
				t.Error(err)
			}
		}},
	}
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			p := start(t, specOf("report"))
			p.condition(t)
			if p.Dead() {
				t.Error("Dead says so of a program that answers")
			}
			e.end(t, p)
			<-p.Over()
			if !p.Dead() || p.State() != e.state {
				t.Errorf("Dead() = %v, State() = %q, want %q", p.Dead(), p.State(), e.state)
			}
			if err := p.Kill(); err != nil {
				t.Errorf("Kill of a dead program: %v", err)
			}
			if err := p.Close(); err != nil || !p.Dead() {
				t.Errorf("Close: %v, then Dead() = %v", err, p.Dead())
			}
		})
	}
}

func TestAProcessIsFoundByItsNumber(t *testing.T) {
	p := start(t, specOf("report"))
	p.condition(t)
	found, err := fd.Open(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	if found.Dead() || found.PID != p.PID {
		t.Errorf("process %d, dead: %v, want %d alive", found.PID, found.Dead(), p.PID)
	}
	p.exit(t, 0)
	<-found.Over()
	<-p.Over()
	if _, err := fd.Open(p.PID); !errors.Is(err, unix.ESRCH) {
		t.Errorf("a process that was reaped is found: %v", err)
	}
}

// A zombie whose threads still run is dead, too: a service manager refuses its pid.
func TestAZombieIsDead(t *testing.T) {
	p := start(t, specOf("headless"))
	p.condition(t)
	select {
	case <-p.Over():
		t.Error("the program has ended, want one of which a thread is left")
	default:
	}
	if !p.Dead() {
		t.Error("a zombie with a thread is called alive")
	}
	p.exit(t, 0)
	<-p.Over()
	if !p.Dead() {
		t.Error("a program that has ended is called alive")
	}
}

func TestCloseEndsTheWatchAndNotTheProgram(t *testing.T) {
	p := start(t, specOf("report"))
	p.condition(t)
	second, err := p.Dup()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	<-p.Over()
	if p.Dead() {
		t.Error("a program that is no longer watched is called dead")
	}
	if err := p.Kill(); err == nil {
		t.Error("Kill after Close says that it killed")
	}
	w, err := fd.Watch(p.PID, second)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p.exit(t, 3)
	<-w.Over()
	if !w.Dead() || w.State() != "exited with status 3" {
		t.Errorf("Dead() = %v, State() = %q of a program that no process has reaped", w.Dead(), w.State())
	}
	if ws := reap(t, p.PID); ws.ExitStatus() != 3 {
		t.Errorf("Watch took the exit status: %v", ws)
	}
}

// One watch reaps the program, before or after another one has its status from /proc.
func TestAStatusIsKnownAfterAnotherProcessReaped(t *testing.T) {
	for status := range byte(10) {
		p := start(t, specOf("report"))
		p.condition(t)
		w, err := fd.Open(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		p.exit(t, status)
		<-p.Over()
		<-w.Over()
		lost := w.State() == "ended" && !keepsStatus(t)
		if want := fmt.Sprintf("exited with status %d", status); w.State() != want && !lost {
			t.Errorf("State() = %q, want %q", w.State(), want)
		}
	}
}

// keepsStatus reports whether the kernel keeps the status of a reaped process for its pidfd.
func keepsStatus(t *testing.T) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 15
}

func TestManyWatchesOfOneProgram(t *testing.T) {
	p := start(t, specOf("report"))
	p.condition(t)
	var watches []*fd.Process
	for range 10 {
		d, err := p.Dup()
		if err != nil {
			t.Fatal(err)
		}
		w, err := fd.Watch(p.PID, d)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		watches = append(watches, w)
	}
	if err := watches[0].Kill(); err != nil {
		t.Fatal(err)
	}
	for _, w := range watches {
		<-w.Over()
		if !w.Dead() {
			t.Error("a watch is over and calls the program alive")
		}
	}
}

// A program starts the sibling and exits.
func TestASiblingIsAChildOfOurParent(t *testing.T) {
	p := start(t, specOf("starter"))
	c := p.condition(t)
	<-p.Over()
	if c.Parent != os.Getpid() {
		t.Errorf("parent of the sibling is %d, want that of its starter, %d", c.Parent, os.Getpid())
	}
	if p.State() != "exited with status 0" {
		t.Errorf("the starter %s", p.State())
	}
	p.exit(t, 5)
	if ws := reap(t, c.PID); ws.ExitStatus() != 5 {
		t.Errorf("exit status of the sibling: %v", ws)
	}
}

func TestAFailedStartLeavesNothing(t *testing.T) {
	ours, theirs, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		spec fd.Spawn
		want error
	}{
		{fd.Spawn{Path: "/nonexistent"}, fs.ErrNotExist},
		{fd.Spawn{Path: plain}, fs.ErrPermission},
		{fd.Spawn{Path: "/proc/self/exe", Dir: "/nonexistent"}, fs.ErrNotExist},
		{fd.Spawn{Path: "/proc/self/exe\x00"}, unix.EINVAL},
	}
	before := leak.Descriptors()
	for _, tt := range tests {
		tt.spec.Args, tt.spec.Line = []string{"program"}, theirs
		for _, sibling := range []bool{false, true} {
			tt.spec.Sibling = sibling
			_, err := fd.Start(tt.spec)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.spec.Path) {
				t.Errorf("Start(%+v) = %v, want %v with the path", tt.spec, err, tt.want)
			}
		}
	}
	if after := leak.Descriptors(); len(after) != len(before) {
		t.Errorf("descriptors before: %v, after: %v", before, after)
	}
}

func TestWatchConsumesADescriptorThatIsNoPidfd(t *testing.T) {
	if w, err := fd.Watch(1, fd.New(1<<20)); err == nil {
		t.Error("a descriptor that is not open was watched")
		_ = w.Close()
	}
}
