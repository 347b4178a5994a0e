//go:build linux

package reexec_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// install puts the test binary at path.
func (s *scene) install(path string) {
	s.Helper()
	self, err := os.Executable()
	s.must(err)
	s.must(os.MkdirAll(filepath.Dir(path), 0o755))
	if err := os.Link(self, path); errors.Is(err, syscall.EXDEV) {
		text, err := os.ReadFile(self)
		s.must(err)
		s.writeProgram(path, text)
	} else {
		s.must(err)
	}
}

// writeProgram writes an executable file while no process is forked: a child with the file open
// would make its start fail (ETXTBSY).
func (s *scene) writeProgram(path string, text []byte) {
	s.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	s.must(os.WriteFile(path, text, 0o755))
}

// executable is the file that the process runs.
func (r *process) executable() string {
	r.Helper()
	path, err := os.Readlink("/proc/" + strconv.Itoa(r.PID) + "/exe")
	r.must(err)
	return path
}

// TestTheProgramIsFoundWhereItWasStartedFrom, whatever its argv[0] looks like and
// wherever the process has gone since.
func TestTheProgramIsFoundWhereItWasStartedFrom(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, argv0, dir string }{
		{"absolute", "DIR/bin/program", "/"},
		{"relative", "bin/program", "DIR"},
		{"relative, with a dot", "./program", "DIR/bin"},
		{"relative, with dots", "../bin/program", "DIR/bin"},
		{"in $PATH", "program", "/"},
		{"the name of no program", "my program", "/"},
		{"the name of another program in $PATH", "sleep", "/"},
		{"the path of another program", "/bin/sleep", "/"},
		{"empty", "", "/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			s.path = filepath.Join(s.dir, "bin/program")
			s.install(s.path)
			s.args = []string{strings.Replace(tt.argv0, "DIR", s.dir, 1), "actor", "more", ""}
			s.workDir = strings.Replace(tt.dir, "DIR", s.dir, 1)
			s.env = []string{"PATH=" + filepath.Join(s.dir, "bin") + ":/usr/bin:/bin"}
			one, address := s.open("{}")
			one.Do("chdir", "/proc")
			two := one.handOver("{}")
			if !slices.Equal(two.Args, s.args) || two.Dir != s.workDir || two.executable() != s.path {
				t.Errorf("the successor is %s, started as %q in %s; want %s, %q in %s", two.executable(), two.Args, two.Dir, s.path, s.args, s.workDir)
			}
			three := two.handOver("{}")
			if three.executable() != s.path {
				t.Errorf("the third generation is %s", three.executable())
			}
			s.hosted(address, three)
		})
	}
}

// TestALinkIsFollowedAtEachUpgrade: releases are switched by a link.
func TestALinkIsFollowedAtEachUpgrade(t *testing.T) {
	for _, linked := range []string{"program", "folder"} {
		t.Run(linked, func(t *testing.T) {
			s := newScene(t)
			releases := []string{filepath.Join(s.dir, "r1/program"), filepath.Join(s.dir, "r2/program"), filepath.Join(s.dir, "r3/program")}
			for _, r := range releases {
				s.install(r)
			}
			current := filepath.Join(s.dir, "current")
			switchTo := func(release string) {
				target := release
				if linked == "folder" {
					target = filepath.Dir(release)
				}
				s.must(os.Symlink(target, current+".new"))
				s.must(os.Rename(current+".new", current))
			}
			switchTo(releases[0])
			s.path = current
			if linked == "folder" {
				s.path, s.workDir = filepath.Join(current, "program"), current
			}
			s.args = []string{s.path, "actor"}
			r, _ := s.open("{}")
			for _, release := range releases[1:] {
				switchTo(release)
				r = r.handOver("{}")
				if got := r.executable(); got != release {
					t.Errorf("the successor is %s, want %s", got, release)
				}
				if linked == "folder" && r.Dir != filepath.Dir(release) {
					t.Errorf("the successor works in %s, want %s", r.Dir, filepath.Dir(release))
				}
			}
		})
	}
}

// TestAReplacedProgramIsFoundAtItsPath, also if it was replaced before New, when the
// file that runs is nowhere any more.
func TestAReplacedProgramIsFoundAtItsPath(t *testing.T) {
	for _, argv0 := range []string{"DIR/program", "sleep"} {
		t.Run(argv0, func(t *testing.T) {
			s := newScene(t)
			s.path = filepath.Join(s.dir, "program")
			s.install(s.path)
			s.args = []string{strings.Replace(argv0, "DIR", s.dir, 1), "actor"}
			one := s.start()
			replace := func() {
				s.must(os.Remove(s.path))
				s.install(s.path)
			}
			replace()
			one.Do("new", "{}")
			address := one.Do("listen", "a", "tcp", anywhere)
			one.Do("ready")
			replace()
			two := one.handOver("{}")
			if got := two.executable(); got != s.path {
				t.Errorf("the successor is %s, want %s", got, s.path)
			}
			s.hosted(address, two)
		})
	}
}

// TestClosedStandardDescriptorsStayClosed: a connection that has got one of their
// numbers is not what the next program writes to.
func TestClosedStandardDescriptorsStayClosed(t *testing.T) {
	for _, options := range []string{signals, inPlace} {
		t.Run(options, func(t *testing.T) {
			s := newScene(t)
			one, address := s.open(options)
			one.Do("close standard")
			var clients []*testClient
			for range 4 {
				clients = append(clients, s.visit("tcp", address))
			}
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.wantNull()
			two.Do("new", options)
			two.Do("listen", "a", "tcp", anywhere)
			if options == inPlace {
				two.Begin("ready").Fails("tried and found good")
				two.Exit(0)
				for _, g := range clients {
					g.leave()
				}
				two = s.next()
				two.wantNull()
				two.Do("new", options)
				two.Do("listen", "a", "tcp", anywhere)
			}
			two.Do("ready")
			if options == signals {
				upgrade.Text()
			}
			two.wantNull()
			s.hosted(address, two)
		})
	}
}

// wantNull checks that the standard descriptors are of /dev/null.
func (r *process) wantNull() {
	r.Helper()
	for n := range 3 {
		if path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", r.PID, n)); err != nil || path != os.DevNull {
			r.Errorf("descriptor %d of process %d is %s, %v", n, r.PID, path, err)
		}
	}
}

// TestAMissingProgramIsANonEvent, and so is one that cannot be executed. What is
// put in its place later is started.
func TestAMissingProgramIsANonEvent(t *testing.T) {
	s := newScene(t)
	s.path = filepath.Join(s.dir, "program")
	s.args = []string{s.path, "actor"}
	s.install(s.path)
	one, address := s.open("{}")
	s.must(os.Remove(s.path))
	one.Begin("upgrade").Fails("upgrade undone (start): ", s.path, "no such file or directory")
	s.writeProgram(s.path, []byte("not a program"))
	one.Begin("upgrade").Fails("upgrade undone (start): ", s.path, "exec format error")
	s.must(os.Chmod(s.path, 0o644))
	one.Begin("upgrade").Fails("upgrade undone (start): ", s.path, "permission denied")
	s.hosted(address, one)
	s.must(os.Remove(s.path))
	s.install(s.path)
	two := one.handOver("{}")
	s.hosted(address, two)
}

// TestADeletedDirectoryIsNoObstacle has the successor and the one after it start in the
// deleted directory.
func TestADeletedDirectoryIsNoObstacle(t *testing.T) {
	s := newScene(t)
	s.workDir = filepath.Join(s.dir, "work")
	s.must(os.Mkdir(s.workDir, 0o755))
	one, address := s.open("{}")
	s.must(os.Remove(s.workDir))
	two := one.handOver("{}")
	if two.Dir != "" {
		t.Errorf("the successor works in %s, want the deleted directory", two.Dir)
	}
	three := two.handOver("{}")
	s.hosted(address, three)
}

func TestADirectoryThatIsThereAgainIsUsed(t *testing.T) {
	s := newScene(t)
	s.workDir = filepath.Join(s.dir, "work")
	s.must(os.Mkdir(s.workDir, 0o755))
	one, address := s.open("{}")
	s.must(os.Remove(s.workDir))
	s.must(os.Mkdir(s.workDir, 0o755))
	two := one.handOver("{}")
	if two.Dir != s.workDir {
		t.Errorf("the successor works in %s, want %s", two.Dir, s.workDir)
	}
	s.hosted(address, two)
}

// TestTheReloadCommandSaysWhereTheUnitWorksNow by its own directory, if the manager has
// started it for the same invocation of the unit and no shell has come in between.
func TestTheReloadCommandSaysWhereTheUnitWorksNow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, more string
		follows    bool
	}{
		{"of the manager", "INVOCATION_ID=ab", true},
		{"of another invocation", "INVOCATION_ID=cd", false},
		{"of an operator", "NONE=", false},
		{"by way of a shell", "PWD=/elsewhere", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.env = append(s.env, "INVOCATION_ID=ab")
			now := t.TempDir()
			one, address := s.open("{}")
			env := append(one.environ(), "MAINPID="+strconv.Itoa(one.PID))
			if c.name == "of an operator" {
				env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "INVOCATION_ID=") })
			}
			reload := one.reloadIn(now, append(env, c.more)...)
			two := s.next()
			two.Do("new", "{}")
			two.Do("listen", "a", "tcp", anywhere)
			two.Do("ready")
			reload.ends("")
			s.hosted(address, two)
			if want := map[bool]string{true: now, false: "/"}[c.follows]; two.Dir != want {
				t.Errorf("the successor works in %s, want %s", two.Dir, want)
			}
			one.Do("close")
		})
	}
}

// TestAWrapperMustExec: what a shell script starts as its child is not the process
// that was started, and could not be made the main process.
func TestAWrapperMustExec(t *testing.T) {
	s := newScene(t)
	s.path = filepath.Join(s.dir, "wrapper")
	s.args = []string{s.path, "actor"}
	program := filepath.Join(s.dir, "program")
	s.install(program)
	s.install(s.path) // the first generation is no script: its argv[0] is the wrapper's
	one, address := s.open("{}")
	wrap := func(line string) {
		s.writeProgram(s.path+".new", []byte("#!/bin/sh\n"+line+"\n"))
		s.must(os.Rename(s.path+".new", s.path))
	}
	wrap(program + ` "$@"; exit`)
	upgrade := one.Begin("upgrade")
	two := s.next()
	arrival := two.Begin("new", "{}")
	upgrade.Fails("answers", "a wrapper script must exec the program")
	s.hosted(address, one)
	if arrival.Wait().Err == "" { // it got the sockets before the predecessor hung up
		two.Begin("ready").Fails("this process is stopping")
	}

	wrap("exec " + program + ` "$@"`)
	upgrade = one.Begin("upgrade")
	three := s.next()
	three.Do("new", "{}")
	three.Do("listen", "a", "tcp", anywhere)
	three.Do("ready")
	upgrade.Text()
	three.state("serving")
	s.hosted(address, three)
}

// TestASuccessorHasTheEnvironmentOfTheStart, without the variables that name another
// process, whatever the program does to its own.
func TestASuccessorHasTheEnvironmentOfTheStart(t *testing.T) {
	s := newScene(t)
	s.env = []string{"LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=a", "LISTEN_PIDFDID=1", "WATCHDOG_PID=1", "SYSTEMD_EXEC_PID=1",
		"WATCHDOG_USEC=1000000", "INVOCATION_ID=ab", "KEPT=old", "EMPTY="}
	one, address := s.open("{}")
	one.Do("setenv", "KEPT", "new")
	one.Do("setenv", "GROWN", "more")
	two := one.handOver("{}")
	two.Do("clear environment")
	three := two.handOver("{}")
	for _, r := range []*process{two, three} {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID", "GROWN"} {
			if value, set := r.Env[name]; set {
				t.Errorf("process %d has %s=%s", r.PID, name, value)
			}
		}
		for name, want := range map[string]string{"CUTOVER_LINE": "3", "WATCHDOG_USEC": "1000000", "INVOCATION_ID": "ab", "KEPT": "old", "EMPTY": ""} {
			if value, set := r.Env[name]; !set || value != want {
				t.Errorf("process %d has %s=%s (%v), want %s", r.PID, name, value, set, want)
			}
		}
	}
	s.hosted(address, three)
}

// TestAProgramMayClearItsEnvironment before it calls New and after that, in every
// generation: the manager is told, and the control socket found.
func TestAProgramMayClearItsEnvironment(t *testing.T) {
	t.Parallel()
	for _, options := range []string{signals, inPlace} {
		t.Run(options, func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			s.env = append(s.env, "RUNTIME_DIRECTORY="+s.dir)
			one := s.start()
			one.Do("clear environment")
			one.Do("new", options)
			address := one.Do("listen", "a", "tcp", anywhere)
			one.Do("ready")
			v.await(one.PID, "READY=1")
			r := one
			for range 2 {
				reload := r.reload()
				next := s.next()
				next.Do("clear environment")
				next.Do("new", options)
				next.Do("listen", "a", "tcp", anywhere)
				if options == inPlace {
					next.Begin("ready").Fails("tried and found good")
					next.Exit(0)
					next = s.next()
					next.Do("clear environment")
					next.Do("new", options)
					next.Do("listen", "a", "tcp", anywhere)
				}
				next.Do("ready")
				reload.ends("")
				r = next
				s.hosted(address, r)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "control.sock")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAProgramMayClearItsEnvironmentBeforeItTakesSockets of its unit.
func TestAProgramMayClearItsEnvironmentBeforeItTakesSockets(t *testing.T) {
	s := newScene(t)
	v := s.service(252)
	addresses := v.socketUnit(1)
	start := v.job(v.manager.Start)
	one := s.next()
	one.Do("clear environment")
	one.Do("new", signals)
	if at := one.Do("listen", "a", "tcp", addresses[0]); at != addresses[0] {
		t.Errorf("the listener is at %s, want %s of the unit", at, addresses[0])
	}
	one.Do("ready")
	v.succeeds(start)
	s.hosted(addresses[0], one)
}

func TestAProgramMayEmptyNOTIFYSOCKETBeforeNew(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one := s.start()
	one.Do("setenv", "NOTIFY_SOCKET", "")
	one.Do("new", signals)
	one.Do("ready")
	v.await(one.PID, "READY=1")
}

// TestAForeignLineIsRefused: the variable that names it can be inherited by
// programs that it is not for.
func TestAForeignLineIsRefused(t *testing.T) {
	for _, value := range []string{"", "x", "-1", "1", "77"} {
		t.Run("descriptor "+value, func(t *testing.T) {
			s := newScene(t)
			s.env = []string{"CUTOVER_LINE=" + value}
			r := s.start()
			r.Begin("new", "{}").Fails("CUTOVER_LINE=")
			r.Do("new", "{}") // it is gone from the environment
		})
	}
}

// TestUnderAManagerTheProgramMustBeTheMainProcess: else its successor would not be
// the manager's child.
func TestUnderAManagerTheProgramMustBeTheMainProcess(t *testing.T) {
	s := newScene(t)
	s.supervise()
	s.env = append(s.env, "SYSTEMD_EXEC_PID=1")
	one, address := s.open("{}")
	one.Begin("upgrade").Fails("upgrade undone (start): ", "the manager started process 1", "a wrapper script must exec the program")
	s.hosted(address, one)
}

// TestWithoutItsManagerTheProgramStays as it is.
func TestWithoutItsManagerTheProgramStays(t *testing.T) {
	s := newScene(t)
	s.supervise()
	s.path, s.args = "/bin/sh", []string{"sh", "-c", s.path + " actor & wait"}
	one, address := s.open("{}")
	s.must(unix.Kill(one.Parent, unix.SIGKILL))
	_, err := unix.Wait4(one.Parent, nil, 0, nil)
	s.must(err)
	one.Begin("upgrade").Fails("upgrade undone (start): ", "has ended", "no manager supervises it")
	s.hosted(address, one)
}
