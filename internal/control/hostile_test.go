//go:build linux

package control_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/fd"
)

// The directory belongs to the user of a service that may be compromised. Its links lead to
// the socket of another process, which must not even see a connection.
func TestALinkToAnotherSocketIsNotFollowed(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "other.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: elsewhere, Net: "unixpacket"})
	must(t, err)
	defer l.Close()
	dir := t.TempDir()
	address := ask.Address(environment(dir), os.Getpid())
	for _, name := range []string{address, ask.Unpublished(address, os.Getpid())} {
		must(t, os.Symlink(elsewhere, name))
	}
	for _, pid := range []int{os.Getpid(), 0} {
		_, err := ask.Process(context.Background(), address, pid, ask.Request{Verb: ask.Upgrade})
		if err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("with pid %d: %v, want it to name the symbolic link", pid, err)
		}
	}
	if fd.Readable(l) {
		t.Error("a link was followed")
	}
}

func TestAFileThatIsNoSocketIsNoAnswer(t *testing.T) {
	address := ask.Address(environment(t.TempDir()), os.Getpid())
	must(t, os.WriteFile(address, nil, 0o600))
	if _, err := ask.Process(context.Background(), address, 0, ask.Request{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Process = %v", err)
	}
}

// A listener of which the queue is full never accepts. A command must not hang in
// connect(2), which a context does not end.
func TestAFullQueueIsNoAnswer(t *testing.T) {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: abstract(), Net: "unixpacket"})
	must(t, err)
	defer l.Close()
	var waiting []net.Conn
	defer func() {
		for _, c := range waiting {
			_ = c.Close()
		}
	}()
	shorten(t, l)
	for range 100 {
		c, err := net.Dial("unixpacket", abstract())
		if err != nil {
			break
		}
		waiting = append(waiting, c)
	}
	if o := <-asking(context.Background(), abstract()); o.err == nil || !strings.Contains(o.err.Error(), "resource temporarily unavailable") {
		t.Errorf("Process = %v", o.err)
	}
}

// shorten makes the queue of l as short as possible.
func shorten(t testing.TB, l *net.UnixListener) {
	t.Helper()
	rc, err := l.SyscallConn()
	must(t, err)
	must(t, rc.Control(func(raw uintptr) { err = syscall.Listen(int(raw), 0) }))
	must(t, err)
}

func TestControlCharactersOfAnAnswerAreEscaped(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	for text, want := range map[string]string{
		"two\nlines, ä and 世":   "two\nlines, ä and 世",
		"\x1b]0;title\a\x1b[2J": `\x1b]0;title\a\x1b[2J`,
		"a\rb\x00c\x7f":         `a\rb\x00c\x7f`,
		"\u202egnp.exe\u0085":   `\u202egnp.exe\u0085`,
	} {
		result := asking(context.Background(), abstract())
		must(t, accept(t, l).Answer(ask.Answer{Error: text, State: text, NotStored: text}))
		o := <-result
		must(t, o.err)
		for _, got := range []string{o.answer.Error, o.answer.State, o.answer.NotStored} {
			if got != want {
				t.Errorf("%q arrives as %q, want %q", text, got, want)
			}
		}
	}
}
