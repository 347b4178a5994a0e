//go:build linux

package reexec

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/saved"
)

// TestANewMainProcessIsSilentWhileTheReloadEnds: the manager would handle its messages first.
func TestANewMainProcessIsSilentWhileTheReloadEnds(t *testing.T) {
	m, heard := managed(t)
	m.sockets.obsolete = []string{"old"}
	m.takeOver(m.p)
	m.p.state = lifecycle.Serving
	m.countOlder(m.p, event{kind: lifecycle.EvOlder, older: handover.Draining{Generations: 1, Held: 3}})
	if text := heard(0); text != "" {
		t.Errorf("sent at once: %q", text)
	}
	m.storedAgain(m.p, m.settleStore()) // the pause is over
	if first, second := heard(time.Minute), heard(time.Minute); first != "FDSTOREREMOVE=1\nFDNAME=old" || second != "STATUS=generation 0, draining 3 connections of generation 1" {
		t.Errorf("sent after the pause: %q, then %q", first, second)
	}
	m.countOlder(m.p, event{kind: lifecycle.EvOlder, older: handover.Draining{Generations: 1, Held: 2}})
	if text := heard(time.Minute); text != "STATUS=generation 0, draining 2 connections of generation 1" {
		t.Errorf("sent later: %q", text)
	}
}

// TestANewMainProcessStoresAtOnceWhatOnlyItHas, because a death would lose it.
func TestANewMainProcessStoresAtOnceWhatOnlyItHas(t *testing.T) {
	m, heard := managed(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m.sockets.add("mine", keptFile{file})
	m.takeOver(m.p)
	if first, second := heard(time.Minute), heard(time.Minute); first == "" || second != "FDSTORE=1\nFDNAME=cutover.0.mine" {
		t.Errorf("sent: %q, then %q", first, second)
	}
}

// managed returns a generation with a manager that reads no message by itself. heard waits for
// the next message; with 0 it returns "" if there is none.
func managed(t *testing.T) (m *middle, heard func(time.Duration) string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m = newMiddle(t)
	if m.manager.notifier, err = notify.Dial(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = m.manager.notifier.Close(), manager.Close() }) // nothing is sent any more
	m.sockets, m.p.main = &sockets{}, true
	m.states = saved.New(m.afford)
	return m, func(wait time.Duration) string {
		if wait == 0 && !fd.Readable(manager) {
			return ""
		}
		text := make([]byte, 4096)
		_ = manager.SetReadDeadline(time.Now().Add(wait)) // fails on a closed socket only, as does the read
		n, err := manager.Read(text)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		return string(text[:n])
	}
}
