//go:build linux

package upgradetest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/internal/needs"
	"golang.org/x/sys/unix"
)

func TestNotifyAccessNoneHasNoSocket(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=simple", "NotifyAccess=none")
	s.must(s.Start(s.ctx, "a.service"))
	if v, ok := s.next().Env["NOTIFY_SOCKET"]; ok {
		t.Errorf("NOTIFY_SOCKET=%s is set", v)
	}
}

func TestBarrierMustBeAlone(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	p := s.start()
	p.Do("open", "end", "pipe", "r")
	p.Do("send raw", "BARRIER=1\nSTATUS=lost", "end")
	p.Do("barrier")
	s.want("StatusText=")
	messages := s.Messages("a.service")
	last, before := messages[len(messages)-1], messages[len(messages)-2]
	if before.Accepted || !strings.Contains(before.Reason, "BARRIER=1") || before.Descriptors != 1 {
		t.Errorf("the barrier with company: %+v, want it refused", before)
	}
	if !last.Accepted || last.Descriptors != 1 || last.PID != p.PID || last.UID != os.Getuid() || last.GID != os.Getgid() {
		t.Errorf("the barrier alone: %+v, want it accepted from PID %d", last, p.PID)
	}
}

func TestStrangersAreRecorded(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	p := s.start()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	s.must(err)
	defer unix.Close(fd)
	s.must(unix.Sendto(fd, []byte("STATUS=me"), 0, &unix.SockaddrUnix{Name: p.Env["NOTIFY_SOCKET"]}))
	got := s.Messages("")
	if len(got) != 1 || got[0].PID != os.Getpid() || got[0].Accepted || got[0].Assignments[0] != "STATUS=me" {
		t.Errorf("messages of strangers: %+v", got)
	}
	s.want("StatusText=")
}

// A sender with CAP_SYS_ADMIN may name another pid and so pass for the main process.
func TestPrivilegedSenderPassesForTheMainProcess(t *testing.T) {
	needs.Root(t, "no other user may send the credentials of another process")
	s := newScene(t, 0)
	s.install("Type=notify")
	p := s.start()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	s.must(err)
	defer unix.Close(fd)
	oob := unix.UnixCredentials(&unix.Ucred{Pid: int32(p.PID)})
	s.must(unix.Sendmsg(fd, []byte("STATUS=forged"), oob, &unix.SockaddrUnix{Name: p.Env["NOTIFY_SOCKET"]}, 0))
	s.await("StatusText=forged")
}

func TestNotificationBeforeExitIsHeard(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "NotifyAccess=all")
	p := s.start()
	for i := range 20 {
		child := p.Spawn("sibling")
		text := "STATUS=" + strconv.Itoa(i)
		// No barrier in between, so the manager may learn of the exit first.
		child.Do("send", text)
		child.Exit(0)
		s.awaitEnd(child)
	}
	s.await("StatusText=19")
	for _, m := range s.Messages("a.service") {
		if !m.Accepted {
			t.Errorf("not accepted: %+v", m)
		}
	}
}

func TestLongDirectoryGetsAnAbstractNotifySocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m, err := upgradetest.NewManager(upgradetest.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Install(t.Context(), "a.service", "[Service]\nType=notify\nExecStart="+exe+" "+readyArg+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), "a.service"); err != nil {
		t.Fatal(err)
	}
	if got := m.Messages("a.service"); len(got) != 1 || !got[0].Accepted {
		t.Errorf("messages: %+v", got)
	}
}
