package conformance_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/internal/needs"
)

// A manager is what the scenarios need of a service manager, be it systemd in a
// machine or the fake.
type manager interface {
	Version() int
	Install(ctx context.Context, name, text string) error
	Start(ctx context.Context, unit string) error
	Stop(ctx context.Context, unit string) error
	Restart(ctx context.Context, unit string) error
	Reload(ctx context.Context, unit string) error
	DaemonReload(ctx context.Context) error
	Show(ctx context.Context, unit, property string) (string, error)
	Log(ctx context.Context, unit string) (string, error)
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	Close() error
}

var (
	_ manager = (*machine.Machine)(nil)
	_ manager = (*upgradetest.Manager)(nil)
)

// A subject is a manager that is being tested, ready to run probes.
type subject struct {
	manager
	door    *door
	label   string           // for names that several subjects could share
	program string           // the probe's path, as the manager sees it
	run     string           // a directory for sockets, as the manager sees it
	notify  string           // what NOTIFY_SOCKET is
	asked   map[feature]bool // those that a scenario has asked for
	machine *machine.Machine // nil for the fake
}

// fake reports whether the manager is not systemd itself.
func (s *subject) fake() bool { return s.machine == nil }

func newFake(t testing.TB, version int) *subject {
	t.Helper()
	// A short path, since sockets lie below it.
	dir, err := os.MkdirTemp("", "fake-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "door")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, ln, path)
	m, err := upgradetest.NewManager(upgradetest.Options{Version: version, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeManager(t, m) })
	return &subject{manager: m, door: d, label: "fake", program: builtProbe(t), run: filepath.Join(dir, "run"),
		notify: filepath.Join(dir, "notify"), asked: map[feature]bool{}}
}

func newReal(t testing.TB, root machine.Root) *subject {
	t.Helper()
	needs.That(t, machine.Available())
	m, err := machine.Boot(t.Context(), machine.Options{Root: root.Path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeManager(t, m) })
	const path, program = "/run/conformance/door", "/usr/local/bin/probe"
	if err := m.CopyFile(builtProbe(t), program); err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, listenIn(t, m, program, path), path)
	return &subject{manager: m, door: d, label: "real", program: program, run: "/run",
		notify: "/run/systemd/notify", asked: map[feature]bool{}, machine: m}
}

func closeManager(t testing.TB, m manager) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// listenIn listens on the path of a unix socket in m: a probe in there opens it and
// hands it out.
func listenIn(t testing.TB, m *machine.Machine, program, path string) net.Listener {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := m.Command(ctx, program, "door", path)
	cmd.Stdin, cmd.Stderr = theirs, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	ln, err := receiveListener(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// receiveListener takes the listener that lies in the socket.
func receiveListener(socket int) (net.Listener, error) {
	oob := make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := syscall.Recvmsg(socket, make([]byte, 16), oob, syscall.MSG_CMSG_CLOEXEC|syscall.MSG_DONTWAIT)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, err
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "door")
	defer f.Close()
	return net.FileListener(f)
}
