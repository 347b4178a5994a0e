package sockets

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/flow"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file gives the sockets to the next process. If the program forgets a file after that,
// and before the next process is the main one, the next process forgets it, too.

// HandOn returns an entry and a file for every socket. A file belongs to the program or is
// among own, which the caller closes. The program may close a file meanwhile; the caller
// leaves such a socket out.
func (s *Set) HandOn() (entries []handover.Entry, files []syscall.Conn, own []*fd.FD, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			fd.CloseAll(own)
		}
	}()
	s.handed, s.forgotten = true, nil
	for _, k := range s.all {
		file, err := k.file()
		switch unclaimed, ok := file.(*fd.FD); {
		case errors.Is(err, net.ErrClosed): // closed when a claim failed
			continue
		case err != nil:
			return nil, nil, own, fmt.Errorf("socket %q: %w", k.Name, err)
		case ok:
			own = append(own, unclaimed)
		}
		e := k.Entry
		e.Unstored = !k.stored
		entries, files = append(entries, e), append(files, file)
		if c, ok := k.use.(*flow.Conn); ok {
			e, f, err := c.HandOn(storename.Flow(k.Name, k.Index))
			if err != nil {
				return nil, nil, own, fmt.Errorf("socket %q: %w", k.Name, err)
			}
			own, entries = append(own, f...), append(entries, e...)
			for _, f := range f {
				files = append(files, f)
			}
		}
	}
	return entries, files, own, nil
}

// file returns the program's socket, or a duplicate of a socket that was not claimed.
func (k *socket) file() (syscall.Conn, error) {
	if k.use != nil {
		return k.use, nil
	}
	if k.unclaimed.Raw() < 0 {
		return nil, net.ErrClosed
	}
	return k.unclaimed.Dup()
}

// Export returns an entry and a duplicate for every socket. The caller closes the
// duplicates.
func (s *Set) Export() (entries []handover.Entry, fds []*fd.FD, err error) {
	all, files, own, err := s.HandOn()
	if err != nil {
		return nil, nil, err
	}
	defer fd.CloseAll(own)
	for i, file := range files {
		f, err := fd.DupOf(file)
		if errors.Is(err, net.ErrClosed) {
			continue // the program has closed it, so the next process does not get it
		}
		if err != nil {
			fd.CloseAll(fds)
			return nil, nil, fmt.Errorf("socket %q: %w", all[i].Name, err)
		}
		entries, fds = append(entries, all[i]), append(fds, f)
	}
	return entries, fds, nil
}

// TakeForgotten returns the entries of files that were forgotten since a successor was
// given the sockets, once each.
func (s *Set) TakeForgotten() (gone []handover.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone, s.forgotten = s.forgotten, nil
	return gone
}

// Retain notes that the successor that got the sockets has ended.
func (s *Set) Retain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handed, s.forgotten = false, nil
}

// Forget closes the files of entries, which the predecessor has forgotten after it handed
// them over. They may still be in the fd store, if the predecessor forgot them during the commit.
func (s *Set) Forget(entries []handover.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(k *socket) bool {
		file, isFile := k.use.(keptFile)
		if k.use != nil && !isFile || !slices.ContainsFunc(entries, k.is) {
			return false
		}
		if isFile {
			_ = file.Close() // the program may have closed it
		}
		_ = k.unclaimed.Close() // no open descriptor if it was claimed
		if k.stored && k.Origin == handover.OriginOwn {
			s.obsolete = append(s.obsolete, storename.Socket(k.Name, k.Index))
		}
		return true
	})
}

// is reports whether e describes k.
func (k *socket) is(e handover.Entry) bool {
	return k.Name == e.Name && k.Index == e.Index && k.Origin == e.Origin
}
