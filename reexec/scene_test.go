//go:build linux

package reexec_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/testproc"
)

// patience bounds whatever a test waits for. It says that something hangs, never
// that it is slow.
const patience = 3 * time.Minute

// A scene is where the test directs the generations of one program.
type scene struct {
	testing.TB
	ctx      context.Context
	dir      string
	env      []string // of the first generation, besides what an actor needs
	path     string   // of the program
	args     []string // argv of the first generation
	workDir  string
	receive  string // how actors receive connections: what they are asked to do
	listener net.Listener
	entrance chan *process
	output   *os.File
	groups   []int
	readers  sync.WaitGroup

	mu     sync.Mutex
	actors []*process // all that have come
}

// newScene lets the test run beside others. Whatever processes it starts end with it.
func newScene(t *testing.T) *scene {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "stage-") // t.TempDir is too long for a socket's path
	s := &scene{TB: t, ctx: ctx, dir: dir, receive: "receive", entrance: make(chan *process, 16)}
	s.must(err)
	t.Cleanup(func() { s.must(os.RemoveAll(dir)) })
	s.path, err = os.Executable()
	s.must(err)
	s.args, s.workDir = []string{s.path, "actor"}, "/"
	s.output, err = os.Create(filepath.Join(dir, "output"))
	s.must(err)
	s.listener, err = net.Listen("unix", filepath.Join(dir, "stage"))
	s.must(err)
	s.readers.Go(func() { testproc.Accept(s.listener, s.arrived) }) // ends with the listener and the actors
	t.Cleanup(s.end)
	return s
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// end kills what is left, and looks at what the processes have written.
func (s *scene) end() {
	for _, group := range s.groups {
		_ = unix.Kill(-group, unix.SIGKILL) // all are gone by now, or the test has failed
		reap(group)
	}
	s.must(s.listener.Close())
	s.readers.Wait()
	text, err := os.ReadFile(s.output.Name())
	s.must(err)
	s.must(s.output.Close())
	if strings.Contains(string(text), "DATA RACE") || strings.Contains(string(text), "panic:") {
		s.Error("a process has raced or panicked")
	}
	if s.Failed() {
		s.Logf("output of the processes:\n%s", text)
	}
}

// reap waits for all processes of a group.
func reap(group int) {
	for {
		_, err := unix.Wait4(-group, nil, 0, nil)
		if err != nil && err != unix.EINTR {
			return // ECHILD: none is left
		}
	}
}

// environ is the environment of the first generation.
func (s *scene) environ() []string {
	return append(slices.Clone(s.env), // the first of two values counts
		actorVariable+"="+filepath.Join(s.dir, "stage"),
		"PATH="+os.Getenv("PATH"),
		"GORACE=atexit_sleep_ms=0")
}

// start starts the first generation of a program that nobody supervises, but for
// s.env, in a process group of its own.
func (s *scene) start() *process {
	s.Helper()
	null, err := os.Open(os.DevNull)
	s.must(err)
	defer null.Close()
	pid, err := syscall.ForkExec(s.path, s.args, &syscall.ProcAttr{
		Dir:   s.workDir,
		Env:   s.environ(),
		Files: []uintptr{null.Fd(), s.output.Fd(), s.output.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	s.must(err)
	s.groups = append(s.groups, pid)
	return s.next()
}

func (s *scene) arrived(p *testproc.Process) bool {
	p.T, p.Ctx = s.TB, s.ctx
	r := &process{s, p}
	s.mu.Lock()
	s.actors = append(s.actors, r)
	s.mu.Unlock()
	s.entrance <- r
	return true
}

// next returns the actor that comes next.
func (s *scene) next() *process {
	s.Helper()
	select {
	case r := <-s.entrance:
		return r
	case <-s.ctx.Done():
		s.Fatal("no actor came")
		return nil
	}
}

// appeared returns all actors that have come.
func (s *scene) appeared() []*process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.actors)
}

// nobody checks that no actor is waiting at the entrance.
func (s *scene) nobody() {
	s.Helper()
	select {
	case r := <-s.entrance:
		s.Errorf("process %d was started", r.PID)
	default:
	}
}
