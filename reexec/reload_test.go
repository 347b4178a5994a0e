//go:build linux

package reexec_test

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/ask"
)

// A command is a reload command under way.
type command struct {
	*scene
	cmd *exec.Cmd
	out strings.Builder
}

// reload starts the reload command, as systemd would with ExecReload=.
func (r *process) reload(env ...string) *command {
	r.Helper()
	return r.reloadIn("", env...)
}

// reloadIn is reload with a working directory.
func (r *process) reloadIn(dir string, env ...string) *command {
	r.Helper()
	c := &command{scene: r.scene, cmd: exec.Command("/proc/self/exe", "reload")}
	c.cmd.Stdout = &c.out
	c.cmd.Env = append(r.environ(), "MAINPID="+strconv.Itoa(r.PID))
	if env != nil {
		c.cmd.Env = env
	}
	c.cmd.Dir = dir
	r.must(c.cmd.Start())
	return c
}

// ends waits for the command's end, which says why; "" is success.
func (c *command) ends(why string) {
	c.Helper()
	err := c.cmd.Wait()
	switch out := c.out.String(); {
	case why == "" && (err != nil || out != ""):
		c.Errorf("the reload command: %v, %q", err, out)
	case why != "" && (err == nil || !strings.Contains(out, why)):
		c.Errorf("the reload command: %v, %q, want %q", err, out, why)
	}
}

// withRuntimeDirectory gives the program one, and with it another kind of address.
func (s *scene) withRuntimeDirectory() {
	s.Helper()
	s.must(os.Mkdir(s.dir+"/run", 0o755))
	s.env = append(s.env, "RUNTIME_DIRECTORY="+s.dir+"/run")
}

func TestTheReloadCommandEndsWhenTheNewProgramServes(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*scene){"abstract": func(*scene) {}, "runtime directory": (*scene).withRuntimeDirectory} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			prepare(s)
			r, address := s.open("{}")
			for range 3 {
				reload := r.reload()
				next := s.next()
				next.Do("new", "{}")
				next.Do("listen", "a", "tcp", anywhere)
				next.Do("ready")
				reload.ends("")
				s.hosted(address, next)
				next.state("serving")
				r.Do("close")
				r = next
			}
			r.Do("close")
			if left, err := os.ReadDir(s.dir + "/run"); err == nil && len(left) > 0 {
				t.Errorf("left in the runtime directory: %v", left)
			}
		})
	}
}

func TestTheReloadCommandSaysWhyNot(t *testing.T) {
	s := newScene(t)
	a := s.attempt(claimed, "{}")
	second := a.one.reload()
	second.ends("reexec: another upgrade is under way")
	a.upgrade.Cancel()
	a.undone("changed its mind")

	first := a.one.reload()
	s.next().Exit(3)
	first.ends("the successor exited with status 3")
	first = a.one.reload()
	two := s.next()
	two.Do("new", "{}")
	two.Begin("fail", "no configuration")
	first.ends("no configuration")
	s.hosted(a.address, a.one)
}

// TestAReloadCommandThatIsGoneTakesTheUpgradeWithIt, as TimeoutStartSec= does.
func TestAReloadCommandThatIsGoneTakesTheUpgradeWithIt(t *testing.T) {
	s := newScene(t)
	one, address := s.open(trial)
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM} {
		for _, place := range []string{started, onTrial} {
			reload := one.reload()
			two := s.next()
			if place == onTrial {
				two.Do("new", trial)
				two.Do("listen", "a", "tcp", anywhere)
				two.Do("ready")
				one.state("trial")
			}
			s.must(reload.cmd.Process.Signal(sig))
			one.Await("upgrade undone", "the reload command has ended")
			one.state("serving")
			_ = reload.cmd.Wait() // it was killed
			two.endAt(place)
			s.hosted(address, one)
		}
	}
}

func TestTheReloadCommandNeedsToKnowWhom(t *testing.T) {
	s := newScene(t)
	one, _ := s.open("{}")
	env := func(more ...string) []string { return append(more, "GORACE=atexit_sleep_ms=0") }
	one.reload(env()...).ends("neither MAINPID nor RUNTIME_DIRECTORY is set")
	one.reload(env("MAINPID=0")...).ends(`MAINPID="0" is no process id`)
	one.reload(env("MAINPID=me")...).ends(`MAINPID="me" is no process id`)
	one.reload(env("MAINPID=" + strconv.Itoa(os.Getpid()))...).ends("the main process does not answer")
	one.reload(env("RUNTIME_DIRECTORY=" + s.dir)...).ends("the main process does not answer")
	s.nobody()
}

// TestACommandOfALaterVersionIsAnswered.
func TestACommandOfALaterVersionIsAnswered(t *testing.T) {
	s := newScene(t)
	one, _ := s.open("{}")
	a, err := ask.Process(s.ctx, one.control(), one.PID, ask.Request{Verb: "dance"})
	if err != nil || !strings.Contains(a.Error, `does not know the command "dance"`) {
		t.Errorf("answer %+v, %v", a, err)
	}
}

// control is the address of a process without a runtime directory.
func (r *process) control() string {
	return ask.Address(func(string) (string, bool) { return "", false }, r.PID)
}

// TestCommandsAreHeardAfterAShortageOfDescriptors, which a busy server may have.
func TestCommandsAreHeardAfterAShortageOfDescriptors(t *testing.T) {
	s := newScene(t)
	one, address := s.open("{}")
	one.Do("limit", "3") // no descriptor can be opened
	c, err := net.Dial("unixpacket", one.control())
	s.must(err)
	defer c.Close()
	_, err = c.Write([]byte(`{"version":1,"verb":"status"}`))
	s.must(err)
	one.Await("a reload or status command cannot be accepted, trying again", "too many open files")
	one.Do("limit", "1000")
	if a, err := ask.Process(s.ctx, one.control(), one.PID, ask.Request{Verb: ask.Status}); err != nil || a.State != "serving" {
		t.Errorf("after the shortage: %+v, %v", a, err)
	}
	reload := one.reload()
	two := s.next()
	two.Do("new", "{}")
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	reload.ends("")
	s.hosted(address, two)
}

// TestManyCommandsAtOnce: one of them upgrades, the others hear that.
func TestManyCommandsAtOnce(t *testing.T) {
	s := newScene(t)
	one, address := s.open("{}")
	var reloads []*command
	for range 8 {
		reloads = append(reloads, one.reload())
	}
	two := s.next()
	for range 7 {
		one.Await("upgrade refused", "another upgrade is under way")
	}
	two.Do("new", "{}")
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	won := 0
	for _, r := range reloads {
		if err := r.cmd.Wait(); err == nil {
			won++
		} else if out := r.out.String(); !strings.Contains(out, "another upgrade is under way") {
			t.Errorf("a reload command: %v, %q", err, out)
		}
	}
	if won != 1 {
		t.Errorf("%d of 8 reload commands have succeeded", won)
	}
	s.hosted(address, two)
}

// TestAProgramThatEndsWhenItDrainsHasAnsweredItsReload, with one processor, on which the
// goroutine that was woken last runs first.
func TestAProgramThatEndsWhenItDrainsHasAnsweredItsReload(t *testing.T) {
	s := newScene(t)
	s.env = append(s.env, "GOMAXPROCS=1")
	r, address := s.open(signals)
	for range 5 {
		r.Do("end when draining")
		reload := r.reload()
		next := s.next()
		next.Do("new", signals)
		next.Do("listen", "a", "tcp", anywhere)
		next.Do("ready")
		reload.ends("")
		r.AwaitGone()
		s.hosted(address, next)
		r = next
	}
	r.Do("end when draining")
	reload := r.reload()
	next := s.next() // it does not become ready
	r.signal(unix.SIGTERM)
	reload.ends("this process is stopping")
	r.AwaitGone()
	next.AwaitGone()
}
