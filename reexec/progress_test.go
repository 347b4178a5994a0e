//go:build linux

package reexec

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// newMain is a main process whose predecessor drains, and what the manager has heard since the
// last call.
func newMain(t *testing.T) (m *middle, heard func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() }) // it was read only
	m = newMiddle(t)
	t.Setenv("NOTIFY_SOCKET", path)
	if m.manager.notifier, err = notify.New(); err != nil {
		t.Fatal(err)
	}
	m.sockets = &sockets.Set{}
	m.launch = launch{generation: 2, version: func() string { return "" }}
	m.p.main, m.p.state, m.p.status = true, lifecycle.Serving, committed(2)
	m.pred.KeepProgress(handover.Draining{Generations: 1, Generation: 1, Held: 3, Overdue: 1})
	return m, func() (texts []string) {
		t.Helper()
		const end = "X_END=1"
		if _, err := manager.WriteTo([]byte(end), manager.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		for {
			buf := make([]byte, 4096)
			n, err := manager.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if string(buf[:n]) == end {
				return texts
			}
			texts = append(texts, strings.ReplaceAll(string(buf[:n]), "\n", " "))
		}
	}
}

func TestTheStatusNamesADrainThatLasts(t *testing.T) {
	m, heard := newMain(t)
	m.p.brief = true
	m.countOlder(m.p, event{kind: lifecycle.EvOlder, message: m.pred.Progress()})
	if said := heard(); len(said) > 0 {
		t.Errorf("at the beginning of a drain the manager is told %q", said)
	}
	m.tellProgress(m.p)
	want := "STATUS=generation 2, draining 3 connections of generation 1, past the drain deadline"
	if said := heard(); len(said) != 1 || said[0] != want {
		t.Errorf("of a drain that lasts the manager is told %q, want %s", said, want)
	}
	m.pred.Forget()
	m.countOlder(m.p, event{kind: lifecycle.EvOrphaned})
	if said := heard(); len(said) != 1 || said[0] != "STATUS=generation 2 serves" {
		t.Errorf("at the end of a drain the manager is told %q", said)
	}
}

func TestAnUpgradeThatLastsExtendsTheTimeout(t *testing.T) {
	const under = "EXTEND_TIMEOUT_USEC=10000000 STATUS=generation 2 serves, generation 3 starts"
	for _, tt := range []struct {
		name         string
		request      *request
		begun, lasts string
	}{
		{"for a reload command", &request{reload: &control.Conn{}}, "", under},
		{"for a signal", nil, "RELOADING=1 MONOTONIC_USEC=0 " + under, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, heard := newMain(t)
			m.p.request = tt.request
			m.sayBegun(m.p)
			if said := strings.Join(heard(), "; "); !alike(said, tt.begun) {
				t.Errorf("at the beginning of an upgrade the manager is told %q, want %q", said, tt.begun)
			}
			m.p.state = lifecycle.Preparing
			m.tellProgress(m.p)
			if said := strings.Join(heard(), "; "); said != tt.lasts {
				t.Errorf("of an upgrade that lasts the manager is told %q, want %q", said, tt.lasts)
			}
			m.p.state = lifecycle.Committing // MAINPID= has another status
			m.tellProgress(m.p)
			if said := heard(); len(said) > 0 {
				t.Errorf("during the commit the manager is told %q", said)
			}
		})
	}
}

// alike compares two notifications, of which MONOTONIC_USEC= may differ.
func alike(a, b string) bool {
	plain := func(text string) string {
		head, rest, found := strings.Cut(text, "MONOTONIC_USEC=")
		if !found {
			return text
		}
		_, rest, _ = strings.Cut(rest, " ")
		return head + rest
	}
	return plain(a) == plain(b)
}
