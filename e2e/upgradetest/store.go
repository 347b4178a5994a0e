//go:build linux

package upgradetest

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// A stored descriptor, which the store owns.
type stored struct {
	fd    int
	name  string
	watch *watch // for hang-up, nil: not watched
}

// A store is the file descriptor store of a service, newest entry first.
type store struct {
	entries []*stored
}

func (t *store) len() int { return len(t.entries) }

// addStored takes the descriptors of one FDSTORE=1 message. systemd passes them
// through a hash set, so their order is left to chance here as well. The first
// that cannot be stored ends it: the rest is closed. The sender gets no error.
func (s *service) addStored(fds []int, name string, poll bool) {
	rand.Shuffle(len(fds), func(i, j int) { fds[i], fds[j] = fds[j], fds[i] })
	for i, fd := range fds {
		if err := s.storeOne(fd, name, poll); err != nil {
			s.log.printf("%s: cannot store descriptor: %v, closing remaining", s.name, err)
			closeAll(fds[i+1:])
			break
		}
	}
	s.notifyChange()
}

var errStoreFull = errors.New("no more fit FileDescriptorStoreMax=")

// storeOne consumes fd.
func (s *service) storeOne(fd int, name string, poll bool) error {
	if s.store.len() >= s.conf.storeMax {
		return errors.Join(errStoreFull, unix.Close(fd))
	}
	for _, have := range s.store.entries {
		if sameFile(have.fd, fd) {
			return unix.Close(fd) // it keeps its old name
		}
	}
	entry := &stored{fd: fd, name: name}
	if poll {
		var err error
		entry.watch, err = s.m.epoll.add(fd, 0, func() { s.hungUp(entry) })
		if err != nil && !errors.Is(err, unix.EPERM) { // a regular file never hangs up
			return errors.Join(err, unix.Close(fd))
		}
	}
	s.store.entries = slices.Insert(s.store.entries, 0, entry)
	return nil
}

// hungUp drops a descriptor whose other side is gone.
func (s *service) hungUp(entry *stored) {
	s.log.printf("%s: received hang-up on stored descriptor '%s', closing", s.name, entry.name)
	s.dropStored(func(e *stored) bool { return e == entry })
}

// dropStored closes the entries that match.
func (s *service) dropStored(match func(*stored) bool) {
	s.store.entries = slices.DeleteFunc(s.store.entries, func(e *stored) bool {
		if match(e) {
			s.m.closeStored(e)
			return true
		}
		return false
	})
	s.notifyChange()
}

func (m *Manager) closeStored(e *stored) {
	m.epoll.remove(e.watch)
	_ = unix.Close(e.fd) // others may have it; there is nothing to be done here
}

func (s *service) clearStore() {
	s.dropStored(func(*stored) bool { return true })
}

// reverseStore is part of a daemon-reload: systemd writes the list in its order and
// puts each entry in front again, as many as the unit now allows.
func (s *service) reverseStore() {
	for len(s.store.entries) > s.conf.storeMax {
		last := s.store.len() - 1
		s.m.closeStored(s.store.entries[last])
		s.store.entries = s.store.entries[:last]
	}
	slices.Reverse(s.store.entries)
	s.notifyChange()
}

// sameFile reports whether two descriptors are of one open file description: by
// F_DUPFD_QUERY (Linux 6.10), kcmp, or where neither may be asked by inode.
func sameFile(a, b int) bool {
	if same, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_QUERY, b); err == nil {
		return same == 1
	}
	const kcmpFile = 0 // KCMP_FILE, kcmp(2)
	self := uintptr(os.Getpid())
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, self, self, kcmpFile, uintptr(a), uintptr(b), 0)
	if errno == 0 {
		return order == 0
	}
	var sa, sb unix.Stat_t
	if unix.Fstat(a, &sa) != nil || unix.Fstat(b, &sb) != nil {
		return false
	}
	return sa.Dev == sb.Dev && sa.Ino == sb.Ino
}

// validName reports whether name may name a descriptor: printable ASCII without
// a colon, at most 255 bytes, empty allowed.
func validName(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' || name[i] == ':' {
			return false
		}
	}
	return len(name) <= 255
}

// passedFDs returns the descriptors of the ExecStart= process and their names: the sockets
// of its socket units, in an order that systemd leaves undefined, then the store.
func (s *service) passedFDs() (fds []int, names []string) {
	for _, u := range s.m.units { // a map: any order
		k, ok := u.(*socket)
		if !ok || k.conf.service != s.name && !slices.Contains(s.conf.sockets, k.name) {
			continue
		}
		for _, l := range k.open {
			// The flag belongs to the open file, so it applies to each holder.
			_ = unix.SetNonblock(l.fd, s.conf.nonBlocking) // a valid descriptor takes it
			fds, names = append(fds, l.fd), append(names, k.conf.fdName)
		}
	}
	for _, e := range s.store.entries {
		fds, names = append(fds, e.fd), append(names, e.name)
	}
	return fds, names
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // given up as a whole
	}
}
