package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fault"
)

// ordersPath is where the server looks for orders.
const ordersPath = "/run/cutover-faults"

// faultSite is a site whose server obeys orders.
type faultSite struct {
	*site
	root   string // of the machine, as seen from outside
	orders string // the same of ordersPath
	taken  <-chan string
	fresh  inside // of a generation after an upgrade
}

// faultSetup is how the server is run.
type faultSetup struct {
	name      string
	args      []string
	selfBound bool // without a .socket unit
	hangup    bool // upgraded by SIGHUP, which nobody waits for
	renewed   bool // upgraded to a new file each time
	machines  int  // that share the cases: most of the time of a case is spent waiting
}

// newFaultSite starts the server and upgrades it once. It returns who serves then.
func newFaultSite(t testing.TB, setup *faultSetup) (*faultSite, answer) {
	t.Helper()
	f := &faultSite{site: newSite(t)}
	init, err := f.machine.HostPID(1)
	f.must(err)
	f.root = fmt.Sprintf("/proc/%d/root", init)
	f.orders = f.root + ordersPath
	f.must(os.Mkdir(f.orders, 0o777))
	f.must(os.Chmod(f.orders, 0o777)) // whatever the umask is
	f.taken = f.watch()
	f.install(unitName+".d/faults.conf", "[Service]\nEnvironment="+fault.Variable+"="+ordersPath+"\nReadWritePaths="+ordersPath+"\n")
	if setup.selfBound {
		f.install(unitName, withoutSocket(shipped(t, unitName)))
	}
	program := faultyServer(t)
	f.ownReload(program)
	f.start(program, append(setup.args, "-ready", faultReady.String(), "-trial", faultTrial.String())...)
	first, _ := f.settled()
	now := f.nextUpgrade(first)
	f.fresh = f.inside(now.pid)
	return f, now
}

// faultyServer is the server with the points in it.
func faultyServer(t testing.TB) string {
	t.Helper()
	path := filepath.Join(programs.dir, "server-faulty")
	v, _ := programs.once.LoadOrStore(path, new(built))
	b := v.(*built)
	b.Do(func() {
		cmd := exec.Command("go", "build", "-tags", "faultpoints", "-ldflags", "-s -w -X main.version=v1", "-o", path, "./testdata/server")
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("build the server with fault points: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return path
}

// watch returns the names that orders get when a process takes them.
func (f *faultSite) watch() <-chan string {
	f.Helper()
	raw, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	f.must(err)
	file := os.NewFile(uintptr(raw), "inotify")
	f.Cleanup(func() { file.Close() })
	_, err = unix.InotifyAddWatch(raw, f.orders, unix.IN_MOVED_TO)
	f.must(err)
	names := make(chan string, 16)
	go func() { // ends when the file is closed
		defer close(names)
		buf := make([]byte, 4096)
		for {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			for _, name := range eventNames(buf[:n]) {
				select {
				case names <- name:
				case <-f.ctx.Done():
					return
				}
			}
		}
	}()
	return names
}

// eventNames returns the file names of inotify(7) events.
func eventNames(events []byte) (names []string) {
	for len(events) >= unix.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(events[12:]))
		events = events[unix.SizeofInotifyEvent:]
		names = append(names, string(bytes.TrimRight(events[:length], "\x00")))
		events = events[length:]
	}
	return names
}

func (f *faultSite) order(p fault.Point, a fault.Action) {
	f.Helper()
	f.must(os.Symlink(string(a), filepath.Join(f.orders, string(p))))
}

// awaitTaken returns the process that takes the order for p.
func (f *faultSite) awaitTaken(ctx context.Context, p fault.Point) (pid int, err error) {
	select {
	case name := <-f.taken:
		point, number, _ := strings.Cut(name, ".")
		pid, err := strconv.Atoi(number)
		if err != nil || point != string(p) {
			return 0, fmt.Errorf("%q took an order for %s", name, p)
		}
		return pid, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("no process came to %s: %w", p, context.Cause(ctx))
	}
}

// awaitEnd waits for the end of the process pid for at most limit, and reports
// whether it has come.
func (f *faultSite) awaitEnd(pid int, limit time.Duration) bool {
	f.Helper()
	host, err := f.machine.HostPID(pid)
	if errors.Is(err, os.ErrProcessDone) {
		return true
	}
	f.must(err)
	return f.awaitOne([]int{host}, limit)
}

// awaitOne waits until one of the processes that the host knows by these numbers
// has ended, for at most limit, and reports whether one has.
func (f *faultSite) awaitOne(hosts []int, limit time.Duration) bool {
	f.Helper()
	var polled []unix.PollFd
	for _, host := range hosts {
		pidfd, err := unix.PidfdOpen(host, 0)
		if errors.Is(err, unix.ESRCH) {
			return true
		}
		f.must(err)
		defer unix.Close(pidfd)
		polled = append(polled, unix.PollFd{Fd: int32(pidfd), Events: unix.POLLIN})
	}
	for deadline := time.Now().Add(limit); ; {
		n, err := unix.Poll(polled, int(max(0, time.Until(deadline)).Milliseconds()))
		if !errors.Is(err, syscall.EINTR) {
			f.must(err)
			return n > 0
		}
	}
}
