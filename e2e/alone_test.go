package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// alone is a server that nobody supervises, started as from a shell. Its
// generations are in a process group of their own.
type alone struct {
	*client
	binary string
	group  int
	pid    int // of the generation that serves
	output *os.File
}

// newAlone starts program, an HTTP server, and waits until it answers.
func newAlone(t testing.TB, program string, args ...string) *alone {
	t.Helper()
	a := startAlone(t, program, args...)
	a.awaitAnswer()
	return a
}

func startAlone(t testing.TB, program string, args ...string) *alone {
	t.Helper()
	a := prepareAlone(t, program)
	a.launch(exec.Command(a.binary, append([]string{"-addr", a.address}, args...)...))
	return a
}

func prepareAlone(t testing.TB, program string) *alone {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	a := &alone{
		client: &client{TB: t, ctx: ctx, address: ownAddress(), dial: new(net.Dialer).DialContext},
		binary: filepath.Join(t.TempDir(), "server"),
	}
	a.deploy(program)
	return a
}

// launch starts the first generation.
func (a *alone) launch(first *exec.Cmd) {
	a.Helper()
	var err error
	a.output, err = os.Create(a.binary + ".log")
	a.must(err)
	// Successors outlive their parents, and become our children to be reaped.
	a.must(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	first.Stdout, first.Stderr = a.output, a.output
	if first.SysProcAttr == nil {
		first.SysProcAttr = new(syscall.SysProcAttr)
	}
	first.SysProcAttr.Setpgid = true
	a.must(first.Start())
	a.Cleanup(a.end)
	a.pid, a.group = first.Process.Pid, first.Process.Pid
}

func (a *alone) awaitAnswer() {
	a.Helper()
	for {
		if _, err := a.tryGet("/"); err == nil {
			return
		}
		if a.ctx.Err() != nil {
			a.Fatal("the server does not answer")
		}
	}
}

// addresses counts the servers of this process.
var addresses atomic.Uint32

// ownAddress is an address on the loopback network that nobody else uses: its
// network is that of this process, by its id, and its port a server's own.
func ownAddress() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.77.%d.%d:%d", pid>>8&0xff, pid&0xff, 8080+addresses.Add(1))
}

func (a *alone) end() {
	_ = syscall.Kill(-a.group, syscall.SIGKILL) // all are gone by now, or the test has failed
	a.reap()
	text, err := os.ReadFile(a.output.Name())
	if a.Failed() {
		a.Logf("output of the server (%v):\n%s", err, text)
	}
	a.must(a.output.Close())
}

// reap waits for all generations.
func (a *alone) reap() {
	for {
		_, err := syscall.Wait4(-a.group, nil, 0, nil)
		if err != nil && err != syscall.EINTR {
			return // ECHILD: none is left
		}
	}
}

// deploy replaces the binary by rename, as a package upgrade would.
func (a *alone) deploy(path string) {
	a.Helper()
	// Not a copy: a process that is forked while one is written could not be told from
	// a writer until its exec, and ETXTBSY would be the end of ours.
	a.must(os.Link(path, a.binary+".new"))
	a.must(os.Rename(a.binary+".new", a.binary))
}

func (a *alone) signal(sig syscall.Signal) {
	a.Helper()
	a.must(syscall.Kill(a.pid, sig))
}

// hangup sends SIGHUP and returns when another generation answers.
func (a *alone) hangup() answer {
	a.Helper()
	a.signal(syscall.SIGHUP)
	for a.ctx.Err() == nil {
		if now := a.get("/"); now.pid != a.pid {
			a.pid = now.pid
			return now
		}
		a.wait() // not more than it can take
	}
	a.Fatal("no other generation answers: ", a.ctx.Err())
	return answer{}
}

func TestAloneUpgradesLoseNothing(t *testing.T) {
	t.Parallel()
	for accept, classes := range map[string][]load.Class{"0": light, "2ms": gentle} {
		t.Run("accept="+accept, func(t *testing.T) {
			versions := []string{server(t, "v1"), server(t, "v2")}
			a := newAlone(t, versions[0], "-accept", accept)
			run := a.load(classes...)
			for i := range several() {
				a.deploy(versions[(i+1)%2])
				if got, want := a.hangup(), []string{"v2", "v1"}[i%2]; got.version != want || got.generation != i+2 {
					t.Fatalf("upgrade %d: %+v answers, want version %s", i+1, got, want)
				}
				a.pass(30)
			}
			a.nothingLost(run)
		})
	}
}

func TestAloneBrokenSuccessorIsANonEvent(t *testing.T) {
	t.Parallel()
	a := newAlone(t, server(t, "v1"), "-ready", "3s")
	run := a.load(light...)
	for _, b := range broken {
		a.deploy(b.path(t))
		why := a.reload(server(t, "v1"))
		if why == "" {
			t.Errorf("program that %s: the reload command succeeded", b.name)
		}
		t.Logf("program that %s: %s", b.name, why)
		if now := a.get("/"); now.pid != a.pid {
			t.Fatalf("program that %s: %+v answers", b.name, now)
		}
	}
	a.deploy(server(t, "v2"))
	if now := a.hangup(); now.version != "v2" || now.generation != 2 {
		t.Errorf("after five failures a good program gave %+v", now)
	}
	if inside := a.get("/inside"); !strings.Contains(inside.rest, "nonblock=true") {
		t.Errorf("after five failures: %s, want nonblock=true", inside.rest)
	}
	a.nothingLost(run)
}

// reload runs the reload command of program and returns what it wrote, which is
// nothing if it succeeded.
func (a *alone) reload(program string) string {
	a.Helper()
	cmd := exec.CommandContext(a.ctx, program, "reload")
	cmd.Env = append(os.Environ(), fmt.Sprint("MAINPID=", a.pid))
	out, err := cmd.CombinedOutput()
	if (err == nil) != (len(out) == 0) {
		a.Errorf("reload command: %v, but it wrote %q", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestAloneCrashDuringDrainIsCovered(t *testing.T) {
	t.Parallel()
	a := newAlone(t, server(t, "v1"))
	a.deploy(server(t, "v2")) // before the long request, because a build may take longer
	long := a.hold()
	second := a.hangup()
	run := a.load(lightKept, lightFresh)
	a.pass(30)
	a.signal(syscall.SIGKILL)
	killed := casualtyOf(run)
	a.pass(30)
	if now := a.get("/"); now.version != "v1" || now.generation != 1 {
		t.Errorf("after the crash of %+v, %+v answers, want the predecessor", second, now)
	}
	long.finish("v1")
	a.onlyTheKilledLost(run, killed)
	a.pid = a.get("/").pid
	if next := a.hangup(); next.version != "v2" || next.generation != 2 {
		t.Errorf("the next upgrade gave %+v", next)
	}
}

func TestAloneStopRefusesClients(t *testing.T) {
	t.Parallel()
	a := newAlone(t, server(t, "v1"))
	a.hangup()
	long := a.background("/sleep?d=1s")
	a.signal(syscall.SIGTERM)
	if o := <-long; o.err != nil {
		t.Errorf("a request in work at the stop: %v", o.err)
	}
	a.reap()
	if _, err := a.tryGet("/"); err == nil {
		t.Error("somebody still answers after the stop")
	}
}
