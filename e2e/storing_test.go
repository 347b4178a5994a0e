package e2e

import (
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fault"
)

// TestASocketThatCouldNotBeStoredIsStoredLater has no free descriptor at the first
// Ready. STATUS= says so until the manager has the socket; a kill then refuses no client.
func TestASocketThatCouldNotBeStoredIsStoredLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.install(unitName, withoutSocket(shipped(t, unitName)))
	s.must(s.machine.WriteFile("/etc/starved", nil, 0o644))
	s.start(server(t, "v1"), "-starved", "/etc/starved")
	t.Log(s.awaitStatus(regexp.MustCompile(`^generation 1 serves; not in the fd store: .*too many open files`)))
	if n := s.show("NFileDescriptorStore"); n != "0" {
		t.Errorf("NFileDescriptorStore=%s without a descriptor, want 0", n)
	}
	s.command("rm", "/etc/starved")
	s.setDescriptors(s.mainPID(), 1024)
	s.awaitStatus(regexp.MustCompile(`^generation 1 serves$`))
	if n := s.show("NFileDescriptorStore"); n != "1" {
		t.Errorf("NFileDescriptorStore=%s, want the socket", n)
	}
	run := s.load(lightKept, lightFresh)
	s.pass(50)
	killed := s.kill(s.mainPID(), run)
	s.awaitRestart(1)
	s.pass(50)
	s.onlyTheKilledLost(run, killed)
}

// setDescriptors sets how many descriptors a process of the machine may have.
func (s *site) setDescriptors(pid int, n uint64) {
	s.Helper()
	host, err := s.machine.HostPID(pid)
	s.must(err)
	var limit unix.Rlimit
	s.must(unix.Prlimit(host, unix.RLIMIT_NOFILE, nil, &limit))
	limit.Cur = n
	s.must(unix.Prlimit(host, unix.RLIMIT_NOFILE, &limit, nil))
}

// TestMarksOfAKilledPredecessorLeaveTheStore kills the main process between the marks
// and the commit. This test holds the other ends of the marks, so that the manager keeps
// them and passes them to the next process.
func TestMarksOfAKilledPredecessorLeaveTheStore(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full: the successor waits half a minute for a predecessor whose connection this test holds")
	}
	t.Parallel()
	f, before := newFaultSite(t, overlapSetup)
	had, err := strconv.Atoi(f.show("NFileDescriptorStore"))
	f.must(err)
	f.order(fault.MarksStored, fault.Stop)
	reloaded := f.reloading()
	pid, err := f.awaitTaken(f.ctx, fault.MarksStored)
	f.must(err)
	if pid != before.pid {
		t.Fatalf("process %d stores marks, want %d", pid, before.pid)
	}
	f.keepPairs(pid)
	f.has(had + 2)
	f.must(f.machine.Signal(pid, unix.SIGKILL))
	if err := <-reloaded; err == nil {
		t.Error("systemctl reload succeeded without its main process")
	}
	after, _ := f.settled()
	if served(before, after) != restarted {
		t.Errorf("%+v serves after %+v, want a process of the manager", after, before)
	}
	f.has(had)
	f.nextUpgrade(after)
	f.has(had)
}

// has fails the test unless the fd store has n entries.
func (s *site) has(n int) {
	s.Helper()
	if now := s.show("NFileDescriptorStore"); now != strconv.Itoa(n) {
		s.Errorf("NFileDescriptorStore=%s, want %d", now, n)
	}
}

// keepPairs keeps the socket pairs of a process of the machine open until the test ends.
func (s *site) keepPairs(pid int) {
	s.Helper()
	host, err := s.machine.HostPID(pid)
	s.must(err)
	process, err := unix.PidfdOpen(host, 0)
	s.must(err)
	defer unix.Close(process)
	kept := 0
	for n := range 256 {
		d, err := unix.PidfdGetfd(process, n, 0)
		if err != nil {
			continue // it is not open
		}
		peer, err := unix.Getpeername(d)
		if unnamed, ok := peer.(*unix.SockaddrUnix); err != nil || !ok || unnamed.Name != "@" {
			_ = unix.Close(d) // no end of a pair
			continue
		}
		kept++
		s.Cleanup(func() { _ = unix.Close(d) })
	}
	if kept < 2 {
		s.Fatalf("process %d has %d ends of socket pairs, want two marks", pid, kept)
	}
}
