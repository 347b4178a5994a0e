//go:build linux

package reexec_test

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A supervisor is a service manager that hears everything and does nothing by
// itself: the test restarts, stops and keeps descriptors, or does not. With a store it
// keeps descriptors and knows a main process.
type supervisor struct {
	*scene
	conn *net.UnixConn

	mu        sync.Mutex // guards what follows
	heard     []message
	news      chan struct{} // closed and replaced at each message
	mute      bool          // barriers are not answered from MAINPID= on
	committed bool          // MAINPID= has come since fallMute
	barriers  []int         // descriptors of those
	store     *fakeStore    // nil if there is none
}

// A message is one notification.
type message struct {
	pid  int
	text string // BARRIER=1 has an ending of our own: how it was answered
	fds  int
}

// supervise makes the test the manager of the first generation, which has it as
// its parent anyway.
func (s *scene) supervise() *supervisor {
	s.Helper()
	path := filepath.Join(s.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	s.must(err)
	v := &supervisor{scene: s, conn: conn, news: make(chan struct{})}
	rc, err := conn.SyscallConn()
	s.must(err)
	s.must(rc.Control(func(raw uintptr) { err = unix.SetsockoptInt(int(raw), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }))
	s.must(err)
	s.env = append(s.env, "NOTIFY_SOCKET="+path)
	s.readers.Go(v.listen) // ends when the socket is closed
	s.Cleanup(func() {
		v.speak()
		_ = conn.Close() // a test may have done so
	})
	return v
}

func (v *supervisor) listen() {
	buf, oob := make([]byte, 8192), make([]byte, 4096)
	for {
		n, oobn, _, _, err := v.conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		m, fds := message{text: string(buf[:n])}, []int(nil)
		controls, _ := unix.ParseSocketControlMessage(oob[:oobn]) // the kernel wrote them
		for _, c := range controls {
			if cred, err := unix.ParseUnixCredentials(&c); err == nil {
				m.pid = int(cred.Pid)
			} else if more, err := unix.ParseUnixRights(&c); err == nil {
				fds = append(fds, more...)
			}
		}
		m.fds = len(fds)
		v.note(m, fds)
	}
}

func (v *supervisor) note(m message, fds []int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.committed = v.committed || strings.HasPrefix(m.text, "MAINPID=")
	switch {
	case m.text == "BARRIER=1" && v.mute && v.committed:
		v.barriers = append(v.barriers, fds...)
		m.text += " unanswered"
	case v.store == nil || !v.store.notified(m, fds):
		closeAll(fds)
	}
	v.heard = append(v.heard, m)
	close(v.news)
	v.news = make(chan struct{})
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // nothing was written to them
	}
}

// fallMute leaves barriers unanswered from the next MAINPID= on.
func (v *supervisor) fallMute() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mute, v.committed = true, false
}

// speak answers all barriers, and those that come.
func (v *supervisor) speak() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mute = false
	closeAll(v.barriers)
	v.barriers = nil
}

// vanish lets nothing more be told. Closing alone would not: a process that another
// test has forked, and that has not called exec yet, holds the socket open.
func (v *supervisor) vanish() {
	v.Helper()
	v.must(v.conn.CloseRead())
	v.must(v.conn.Close())
}

// said returns the messages of a process, each as its lines joined by a space.
func (v *supervisor) said(pid int) (texts []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.heard {
		if m.pid == pid {
			texts = append(texts, strings.ReplaceAll(m.text, "\n", " "))
		}
	}
	return texts
}

// await returns when the process has said something that begins so.
func (v *supervisor) await(pid int, begin string) {
	v.Helper()
	for {
		v.mu.Lock()
		news := v.news
		v.mu.Unlock()
		said := v.said(pid)
		if slices.ContainsFunc(said, func(text string) bool { return strings.HasPrefix(text, begin) }) {
			return
		}
		select {
		case <-news:
		case <-v.ctx.Done():
			v.Fatalf("process %d does not say %s, but %q", pid, begin, said)
		}
	}
}

// caughtUp returns when everything that was sent before has been heard.
func (v *supervisor) caughtUp() {
	v.Helper()
	v.mu.Lock()
	mark := fmt.Sprintf("X_MARK=%d", len(v.heard))
	v.mu.Unlock()
	c, err := net.Dial("unixgram", v.conn.LocalAddr().String())
	v.must(err)
	defer c.Close()
	_, err = c.Write([]byte(mark))
	v.must(err)
	v.await(unix.Getpid(), mark)
}
