//go:build linux

package upgradetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A unitLog is the unit's journal: the output of its processes and the messages of the
// manager about it. All processes of a unit, of all its runs, write
// to one pipe, so that a successor and a left-over process can still be heard.
type unitLog struct {
	m       *Manager
	text    strings.Builder
	partial []byte // a line without its end
	r, w    int
	watch   *watch
}

func (m *Manager) newUnitLog() (*unitLog, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	l := &unitLog{m: m, r: p[0], w: p[1]}
	err := os.NewSyscallError("fcntl", unix.SetNonblock(l.r, true))
	if err == nil {
		l.watch, err = m.epoll.add(l.r, unix.EPOLLIN, l.read)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// printf adds a line of the manager's own.
func (l *unitLog) printf(format string, args ...any) {
	fmt.Fprintf(&l.text, format+"\n", args...)
}

// read takes all that the processes have written so far.
func (l *unitLog) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(l.r, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			return
		}
		l.partial = append(l.partial, buf[:n]...)
		end := bytes.LastIndexByte(l.partial, '\n') + 1
		l.lines(l.partial[:end])
		l.partial = append([]byte(nil), l.partial[end:]...)
	}
}

func (l *unitLog) lines(whole []byte) {
	if len(whole) == 0 {
		return
	}
	l.text.Write(whole)
	if l.m.options.Output != nil {
		// It is the tester's screen; the log has the text in any case.
		_, _ = l.m.options.Output.Write(whole)
	}
}

func (l *unitLog) String() string {
	l.read()
	return l.text.String() + string(l.partial)
}

func (l *unitLog) close() error {
	l.m.epoll.remove(l.watch)
	return errors.Join(unix.Close(l.r), unix.Close(l.w))
}
