//go:build linux

package upgradetest

import (
	"slices"

	"golang.org/x/sys/unix"
)

// others returns the living processes of the service besides the main and the
// control process (predecessors that drain, helpers, left-overs of earlier runs)
// and the groups that have a process. It forgets empty groups, because another
// program may get their number.
func (s *service) others() (pids, groups []int) {
	inhabited := map[int]bool{}
	for _, p := range allProcesses() {
		if g := s.m.groups[p.group]; g == nil || g.owner != s || p.over {
			continue
		}
		inhabited[p.group] = true
		if p.pid != s.main && p.pid != s.control {
			pids = append(pids, p.pid)
		}
	}
	for _, g := range slices.Clone(s.groups) {
		if g.reaped && !inhabited[g.id] {
			s.m.forget(g)
		}
	}
	for id := range inhabited {
		groups = append(groups, id)
	}
	return pids, groups
}

// hasOthers reports whether a process besides main and control process lives.
func (s *service) hasOthers() bool {
	pids, _ := s.others()
	return len(pids) > 0
}

// A pidWatch awaits the end of a process that need not be a child of this one.
type pidWatch struct {
	m     *Manager
	fd    int
	watch *watch
}

// watchPid calls fn once when pid has died. It returns nil if there is no such
// process any more.
func (m *Manager) watchPid(pid int, fn func()) *pidWatch {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	p := &pidWatch{m: m, fd: fd}
	p.watch, err = m.epoll.add(fd, unix.EPOLLIN, func() {
		p.close()
		fn()
	})
	if err != nil {
		p.close()
		return nil
	}
	return p
}

// close may be called again, and on nil.
func (p *pidWatch) close() {
	if p == nil || p.fd < 0 {
		return
	}
	p.m.epoll.remove(p.watch)
	_ = unix.Close(p.fd) // nothing was written
	p.fd = -1
}

// watchMembers awaits the end of pids, so that the stop goes on when the last of
// them has gone, whose child it may be, and reports whether one is still there.
func (s *service) watchMembers(pids []int) bool {
	s.forgetMembers()
	for _, pid := range pids {
		if w := s.m.watchPid(pid, s.checkEmpty); w != nil {
			s.members = append(s.members, w)
		}
	}
	return len(s.members) > 0
}

func (s *service) forgetMembers() {
	for _, w := range s.members {
		w.close()
	}
	s.members = nil
}
