//go:build linux

package notify_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
)

// patience ends a wait for something that must come at once, on a machine that has
// much else to do.
const patience = time.Minute

// A manager stands in for systemd: it has the notify socket and nothing else.
type manager struct {
	*net.UnixConn
	address string
}

// A message is what the manager got with one datagram.
type message struct {
	text  string
	pid   int // of the sender
	files []*os.File
}

// newManager opens a manager that ends with the test.
func newManager(t testing.TB) *manager {
	t.Helper()
	return newManagerAt(t, filepath.Join(t.TempDir(), "notify"))
}

func newManagerAt(t testing.TB, address string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{UnixConn: conn, address: address}
	t.Cleanup(func() { m.Close() })
	m.control(t, func(raw int) error { return unix.SetsockoptInt(raw, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	return m
}

// replace ends m and returns another manager at its address.
func (m *manager) replace(t testing.TB) *manager {
	t.Helper()
	m.Close()
	if err := os.Remove(m.address); err != nil {
		t.Fatal(err)
	}
	return newManagerAt(t, m.address)
}

// dial returns a Notifier that talks to m and ends with the test.
func (m *manager) dial(t testing.TB) *notify.Notifier {
	t.Helper()
	n, err := notify.Dial(m.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

// next waits for the next message. Its files end with the test.
func (m *manager) next(t testing.TB) message {
	t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	text, oob := make([]byte, 8192), make([]byte, 4096)
	n, oobn, _, _, err := m.ReadMsgUnix(text, oob)
	if err != nil {
		t.Fatal(err)
	}
	return parseMessage(t, text[:n], oob[:oobn])
}

// queued returns the text of the messages that are there already.
func (m *manager) queued(t testing.TB) []string {
	t.Helper()
	var all []string
	text := make([]byte, 8192)
	m.control(t, func(raw int) error {
		for {
			n, _, err := unix.Recvfrom(raw, text, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) {
				return nil
			}
			if err != nil {
				return err
			}
			all = append(all, string(text[:n]))
		}
	})
	return all
}

// control calls do with the manager's descriptor.
func (m *manager) control(t testing.TB, do func(raw int) error) {
	t.Helper()
	raw, err := m.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var doErr error
	if err := errors.Join(raw.Control(func(r uintptr) { doErr = do(int(r)) }), doErr); err != nil {
		t.Fatal(err)
	}
}

// parseMessage takes apart what ReadMsgUnix returned.
func parseMessage(t testing.TB, text, oob []byte) message {
	t.Helper()
	m := message{text: string(text)}
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		if cred, err := unix.ParseUnixCredentials(&c); err == nil {
			m.pid = int(cred.Pid)
		}
	}
	files, err := fd.ParseRights(oob)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		file := f.File("passed")
		t.Cleanup(func() { file.Close() })
		m.files = append(m.files, file)
	}
	return m
}

// want checks the text of a message and the number of its files.
func (m message) want(t testing.TB, text string, files int) {
	t.Helper()
	if m.text != text || len(m.files) != files {
		t.Errorf("message %q with %d files, want %q with %d", m.text, len(m.files), text, files)
	}
}

// answerBarrier waits for a barrier and lets it pass.
func (m *manager) answerBarrier(t testing.TB) {
	t.Helper()
	got := m.next(t)
	got.want(t, "BARRIER=1", 1)
	for _, f := range got.files {
		f.Close()
	}
}

// isSame reports whether a and b are descriptors of one file.
func isSame(t testing.TB, a, b *os.File) bool {
	t.Helper()
	ai, err := a.Stat()
	if err != nil {
		t.Fatal(err)
	}
	bi, err := b.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(ai, bi)
}

// pipe returns a pipe that ends with the test.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// contents reads all of f.
func contents(t testing.TB, f *os.File) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
