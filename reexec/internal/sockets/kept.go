package sockets

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file has the files that the program keeps.

// A Kept is an open file that the program keeps under a name.
type Kept struct {
	File *os.File // belongs to the Kept

	s *socket
}

// keptFile is a file among the sockets of a process. It has no gate: the program decides
// which process uses the file.
type keptFile struct{ *os.File }

func (keptFile) Open() {}
func (keptFile) Shut() {}

// Keep keeps a duplicate of file under name. The caller still owns file.
func (s *Set) Keep(name string, file syscall.Conn) (*Kept, error) {
	if err := storename.Check(name); err != nil {
		return nil, err
	}
	if file == nil {
		return nil, fmt.Errorf("reexec: keep %q: the file is nil", name)
	}
	d, err := fd.DupOf(file)
	if err != nil {
		return nil, fmt.Errorf("reexec: keep %q: %w", name, err)
	}
	k := &Kept{File: d.File(name)}
	if k.s, err = s.add(name, keptFile{k.File}); err != nil {
		return nil, err
	}
	return k, nil
}

// Claim claims the next file that an earlier process kept under name, or that a unit passed.
// It returns nil if there is none.
func (s *Set) Claim(name string) (*Kept, error) {
	k := &Kept{}
	var err error
	k.s, err = s.claim(name, func(f *fd.FD) (claimed, error) {
		k.File = f.File(name)
		return keptFile{k.File}, nil
	}, func() (claimed, error) { return nil, errNoMore })
	if errors.Is(err, errNoMore) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Remove closes the file of k and ends the keeping. It returns the name of k in the fd store, ""
// if it is not there, and the error of Close. ok is false if k was removed before.
func (s *Set) Remove(k *Kept) (stored string, closed error, ok bool) {
	if stored, ok = s.remove(k.s); !ok {
		return "", nil, false
	}
	return stored, k.s.use.Close(), true
}

// remove removes k, and returns its name in the fd store, or "" if it is not there. ok is
// false if k was removed before.
func (s *Set) remove(k *socket) (stored string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.all, k)
	if i < 0 {
		return "", false
	}
	s.all = slices.Delete(s.all, i, i+1)
	if s.handed {
		s.forgotten = append(s.forgotten, k.Entry)
	}
	if k.stored && k.Origin == handover.OriginOwn {
		stored = storename.Socket(k.Name, k.Index)
	}
	return stored, true
}

// Keeps reports whether c and a Kept are the same socket. The program has that socket, or
// claims it in the next process, so Accept must not return it as well.
func (s *Set) Keeps(c syscall.Conn) bool {
	kept := s.keptSockets()
	if len(kept) == 0 {
		return false
	}
	info := inspect(c)
	return slices.ContainsFunc(kept, func(k *fd.Info) bool { return info.SameSocket(*k) })
}

// keptSockets describes the kept files that the program has.
func (s *Set) keptSockets() (all []*fd.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		file, ok := k.use.(keptFile)
		if ok && k.info == nil {
			info := inspect(file)
			k.info = &info
		}
		if ok {
			all = append(all, k.info)
		}
	}
	return all
}

// inspect describes c. It returns the zero value if c is closed, which equals no socket.
func inspect(c syscall.Conn) (info fd.Info) {
	fd.Borrow([]syscall.Conn{c}, func(fds []*fd.FD) {
		if fds[0] != nil {
			info, _ = fd.Inspect(fds[0]) // on error the zero value
		}
	})
	return info
}
