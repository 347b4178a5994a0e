//go:build linux

package upgradetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxMessage = 4096 // bytes, PIPE_BUF: the limit of systemd for a notification
	maxPath    = 107  // bytes of an AF_UNIX address, unix(7)
)

// A notifySocket is the socket of $NOTIFY_SOCKET. One serves all units.
type notifySocket struct {
	fd      int
	address string // as $NOTIFY_SOCKET has it
	path    string // to be removed, "" if abstract
	watch   *watch
	m       *Manager
	strays  []Message // of processes that belong to no unit
}

func (m *Manager) listenNotify() (*notifySocket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	n := &notifySocket{fd: fd, m: m, path: filepath.Join(m.dir, "notify")}
	n.address = n.path
	if len(n.path) > maxPath {
		n.address, n.path = fmt.Sprintf("@upgradetest-%d-%p", os.Getpid(), n), ""
	}
	if err := n.bind(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *notifySocket) bind() error {
	if err := unix.SetsockoptInt(n.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(n.fd, &unix.SockaddrUnix{Name: n.address}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if n.path != "" { // a service may have dropped its rights
		if err := os.Chmod(n.path, 0o777); err != nil {
			return err
		}
	}
	var err error
	n.watch, err = n.m.epoll.add(n.fd, unix.EPOLLIN, n.m.readNotify)
	return err
}

func (n *notifySocket) close() error {
	n.m.epoll.remove(n.watch)
	err := os.NewSyscallError("close", unix.Close(n.fd))
	if n.path != "" {
		if e := os.Remove(n.path); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// A datagram is a notification as it arrived. Who takes its descriptors out of
// fds owns them; the rest is closed.
type datagram struct {
	Message
	fds []int
}

// readNotify handles all notifications that have arrived.
func (m *Manager) readNotify() {
	for {
		d, err := m.notify.receive()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil { // EAGAIN
			return
		}
		m.deliver(d)
		closeAll(d.fds)
	}
}

func (n *notifySocket) receive() (*datagram, error) {
	buf := make([]byte, maxMessage)
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*253))
	size, oobSize, flags, _, err := unix.Recvmsg(n.fd, buf, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_TRUNC)
	if err != nil {
		return nil, err
	}
	d := &datagram{}
	d.control(oob[:oobSize])
	switch {
	case d.PID == 0:
		d.Reason = "the sender is unknown"
	case flags&unix.MSG_TRUNC != 0 || size > maxMessage:
		d.Reason = fmt.Sprintf("the message has more than %d bytes", maxMessage)
	case size == 0:
		d.Reason = "the message is empty"
	case bytes.IndexByte(buf[:size-1], 0) >= 0:
		d.Reason = "the message has a NUL inside"
	default:
		text := strings.TrimSuffix(string(buf[:size]), "\x00")
		d.Assignments = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	}
	d.Descriptors = len(d.fds)
	return d, nil
}

// control takes the sender's credentials and the descriptors.
func (d *datagram) control(oob []byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return // without credentials it is refused
	}
	for _, m := range messages {
		switch {
		case m.Header.Level != unix.SOL_SOCKET:
		case m.Header.Type == unix.SCM_CREDENTIALS:
			if c, err := unix.ParseUnixCredentials(&m); err == nil {
				d.PID, d.UID, d.GID = int(c.Pid), int(c.Uid), int(c.Gid)
			}
		case m.Header.Type == unix.SCM_RIGHTS:
			if fds, err := unix.ParseUnixRights(&m); err == nil {
				d.fds = append(d.fds, fds...)
			}
		}
	}
}

// has reports whether the line is one of the message's.
func (d *datagram) has(line string) bool { return slices.Contains(d.Assignments, line) }

// value returns the value of a key; of several the first counts.
func (d *datagram) value(key string) (string, bool) {
	for _, a := range d.Assignments {
		if v, ok := strings.CutPrefix(a, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

// deliver hands a notification to the unit that its sender belongs to.
func (m *Manager) deliver(d *datagram) {
	s := m.serviceOf(d.PID)
	if d.Reason == "" {
		if d.has("BARRIER=1") {
			// Anybody may ask; the answer is that the descriptor is closed.
			if len(d.Assignments) != 1 || len(d.fds) != 1 {
				d.Reason = "BARRIER=1 wants one descriptor and nothing else in its message"
			}
		} else if s == nil {
			d.Reason = "the sender belongs to no unit"
		} else if d.Reason = s.authorise(d.PID); d.Reason == "" {
			s.notified(d)
		}
	}
	d.Accepted = d.Reason == ""
	if s == nil {
		m.notify.strays = append(m.notify.strays, d.Message)
		return
	}
	if !d.Accepted {
		s.log.printf("%s: ignoring notification of PID %d: %s", s.name, d.PID, d.Reason)
	}
	s.messages = append(s.messages, d.Message)
	s.notifyChange()
}

// serviceOf returns the service that pid belongs to, nil if none.
func (m *Manager) serviceOf(pid int) *service {
	for _, u := range m.units {
		if s, ok := u.(*service); ok && pid != 0 && (pid == s.main || pid == s.control) {
			return s
		}
	}
	st, ok := readStat(pid)
	if g := m.groups[st.group]; ok && g != nil {
		return g.owner
	}
	return nil
}

// notifyAccess returns NotifyAccess= as it now holds.
func (s *service) notifyAccess() string {
	if s.access != "" {
		return s.access
	}
	return s.conf.notifyAccess
}

// authorise returns why pid, a process of the service, may not send, "" if it may.
func (s *service) authorise(pid int) string {
	access := s.notifyAccess()
	switch {
	case access == "all",
		access != "none" && pid == s.main,
		access == "exec" && pid == s.control:
		return ""
	}
	return fmt.Sprintf("NotifyAccess=%s does not allow it, the main process is %d", access, s.main)
}
