//go:build linux

package upgradetest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"golang.org/x/sys/unix"
)

func TestNotifyAccessSaysWhoMaySend(t *testing.T) {
	for _, c := range []struct {
		access               string
		main, control, other bool
	}{
		{"main", true, false, false},
		{"exec", true, true, false},
		{"all", true, true, true},
	} {
		t.Run(c.access, func(t *testing.T) {
			th := newTheatre(t, 0)
			// The socket's name is not in the helper's environment under "main";
			// it is there for whoever finds it out.
			th.install("Type=notify", "NotifyAccess="+c.access, "ExecReload=PUPPET helper")
			main := th.startNotify()
			main.do("fork", "child", 0)
			other := th.next()
			outcome := th.begin(th.Reload)
			control := th.next()
			_, given := control.Env["NOTIFY_SOCKET"]
			if given != c.control {
				t.Errorf("ExecReload= has NOTIFY_SOCKET: %v, want %v", given, c.control)
			}
			control.do("setenv", "NOTIFY_SOCKET="+main.Env["NOTIFY_SOCKET"], 0)
			for sender, may := range map[*remote]bool{main: c.main, control: c.control, other: c.other} {
				before, err := th.Show(th.ctx, "a.service", "StatusText")
				th.must(err)
				text := strconv.Itoa(sender.PID)
				sender.notify("STATUS=" + text)
				if !may {
					text = before
				}
				th.want("StatusText=" + text)
			}
			control.exit(0)
			th.must(outcome())
			other.exit(0)
		})
	}
}

func TestNotifyAccessNoneHasNoSocket(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=simple", "NotifyAccess=none")
	th.must(th.Start(th.ctx, "a.service"))
	if v, ok := th.next().Env["NOTIFY_SOCKET"]; ok {
		t.Errorf("NOTIFY_SOCKET=%s is set", v)
	}
}

func TestNotifyAccessIsForcedToMain(t *testing.T) {
	th := newTheatre(t, 0)
	for _, line := range []string{"Type=notify", "WatchdogSec=1min", "FileDescriptorStoreMax=1"} {
		th.install("NotifyAccess=none", line)
		th.want("NotifyAccess=main")
	}
}

func TestMessagesThatAreDroppedWhole(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	p := th.startNotify()
	fits := "STATUS=" + strings.Repeat("x", 4096-len("STATUS="))
	for _, c := range []struct {
		name, text string
		accepted   bool
	}{
		{"4096 bytes", fits, true},
		{"4097 bytes", fits + "y", false},
		{"NUL at the end", "STATUS=end\x00", true},
		{"NUL inside", "STATUS=in\x00side", false},
		{"two NULs at the end", "STATUS=two\x00\x00", false},
	} {
		p.notify("STATUS=before")
		p.notify(c.text)
		want := "before"
		if c.accepted {
			want = strings.TrimSuffix(strings.TrimPrefix(c.text, "STATUS="), "\x00")
		}
		if got, err := th.Show(th.ctx, "a.service", "StatusText"); err != nil || got != want {
			t.Errorf("%s: StatusText = %.20q, %v, want %.20q", c.name, got, err, want)
		}
	}
}

func TestFirstOfSeveralSameKeysWins(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	p := th.startNotify()
	p.notify("STATUS=one", "STATUS=two\rERRNO=5", "ERRNO=6", "READY=1 ")
	th.want("StatusText=one", "StatusErrno=5")
	p.notify("ERRNO=ENOENT")
	th.want("StatusErrno=2")
	p.notify("STATUS=\xff", "ERRNO=nonsense")
	th.want("StatusText=", "StatusErrno=2")
	p.notify("STATUS=again")
	p.notify("STATUS=")
	th.want("StatusText=")
}

func TestBarrierMustBeAlone(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	p := th.startNotify()
	p.do("keep", "pipe end", 0)
	p.do("store", "BARRIER=1\nSTATUS=lost\x00end", 0)
	p.do("barrier", "", 0)
	th.want("StatusText=")
	messages := th.Messages("a.service")
	last, before := messages[len(messages)-1], messages[len(messages)-2]
	if before.Accepted || !strings.Contains(before.Reason, "BARRIER=1") || before.Descriptors != 1 {
		t.Errorf("the barrier with company: %+v, want it refused", before)
	}
	if !last.Accepted || last.Descriptors != 1 || last.PID != p.PID || last.UID != os.Getuid() || last.GID != os.Getgid() {
		t.Errorf("the barrier alone: %+v, want it accepted from PID %d", last, p.PID)
	}
}

func TestProgressFollowsTheVersion(t *testing.T) {
	for _, c := range []struct {
		version int
		state   string // after READY=1 and STOPPING=1 in one message, in this order
	}{
		{247, "running"},
		{252, "running"},
		{253, "stop-sigterm"},
		{262, "stop-sigterm"},
	} {
		t.Run(strconv.Itoa(c.version), func(t *testing.T) {
			th := newTheatre(t, c.version)
			th.install("Type=notify")
			p := th.startNotify()
			p.notify("STOPPING=1", "READY=1")
			th.want("SubState=" + c.state)
			p.exit(0)
		})
	}
}

func TestNotifyAccessOverride(t *testing.T) {
	for version, want := range map[int]string{252: "main", 254: "all"} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify")
			th.startNotify().notify("NOTIFYACCESS=all")
			th.want("NotifyAccess=" + want)
		})
	}
}

func TestStrangersAreRecorded(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	p := th.startNotify()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	th.must(err)
	defer unix.Close(fd)
	th.must(unix.Sendto(fd, []byte("STATUS=me"), 0, &unix.SockaddrUnix{Name: p.Env["NOTIFY_SOCKET"]}))
	got := th.Messages("")
	if len(got) != 1 || got[0].PID != os.Getpid() || got[0].Accepted || got[0].Assignments[0] != "STATUS=me" {
		t.Errorf("messages of strangers: %+v", got)
	}
	th.want("StatusText=")
}

// A sender with CAP_SYS_ADMIN may name another pid and so pass for the main process.
func TestPrivilegedSenderPassesForTheMainProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: nobody else may send the credentials of another process")
	}
	th := newTheatre(t, 0)
	th.install("Type=notify")
	p := th.startNotify()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	th.must(err)
	defer unix.Close(fd)
	oob := unix.UnixCredentials(&unix.Ucred{Pid: int32(p.PID)})
	th.must(unix.Sendmsg(fd, []byte("STATUS=forged"), oob, &unix.SockaddrUnix{Name: p.Env["NOTIFY_SOCKET"]}, 0))
	th.await("StatusText=forged")
}

func TestNotificationBeforeExitIsHeard(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "NotifyAccess=all")
	p := th.startNotify()
	for i := range 20 {
		p.do("fork", "sibling", 0)
		child := th.next()
		text := "STATUS=" + strconv.Itoa(i)
		// No barrier in between, so the manager may learn of the exit first.
		child.do("notify", text, 0)
		child.exit(0)
		child.awaitGone()
	}
	th.await("StatusText=19")
	for _, m := range th.Messages("a.service") {
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
