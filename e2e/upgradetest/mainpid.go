//go:build linux

package upgradetest

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// takeMainPID reads MAINPID= and, from 257 on, MAINPIDFDID= and MAINPIDFD=1.
func (s *service) takeMainPID(d *datagram) {
	if !s.mayChangeMain() {
		return
	}
	pid := 0
	if v, ok := d.value("MAINPID"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n <= 0 {
			s.log.printf("%s: cannot parse MAINPID=%s, ignoring", s.name, v)
			return
		}
		pid = n
		if v, ok := d.value("MAINPIDFDID"); ok && s.m.options.Version >= 257 && !hasPidfdID(pid, v) {
			s.log.printf("%s: MAINPIDFDID=%s is not that of PID %d, refusing", s.name, v, pid)
			return
		}
	}
	if d.has("MAINPIDFD=1") && s.m.options.Version >= 257 && len(d.fds) == 1 {
		if pid = pidOfPidfd(d.fds[0]); pid == 0 {
			s.log.printf("%s: the descriptor of MAINPIDFD=1 is no pidfd of a living process, refusing", s.name)
			return
		}
	}
	if pid != 0 && pid != s.main {
		s.changeMain(pid)
	}
}

func (s *service) mayChangeMain() bool {
	switch s.state {
	case starting, startPost, running, reloading, reloadSig, reloadNote, reloadPost:
		return true
	case stopping, stopTerm:
		return s.m.options.Version >= 257
	}
	return false
}

func hasPidfdID(pid int, want string) bool {
	id, err := pidfdID(pid)
	return err == nil && strconv.FormatUint(id, 10) == want
}

// changeMain makes pid the main process if it may be. The old one becomes an
// ordinary process of the service. Sending the pid of the present main process
// again changes nothing.
func (s *service) changeMain(pid int) {
	st, ok := readStat(pid)
	g := s.m.groups[st.group]
	switch {
	case pid == 1 || pid == os.Getpid():
		s.log.printf("%s: New main PID %d is the manager, refusing.", s.name, pid)
	case pid == s.control:
		s.log.printf("%s: New main PID %d is the control process, refusing.", s.name, pid)
	case !ok || st.zombie:
		s.log.printf("%s: New main PID %d does not exist or is a zombie.", s.name, pid)
	case g == nil || g.owner != s:
		s.log.printf("%s: New main PID %d does not belong to service, refusing.", s.name, pid)
	default:
		s.main, s.mainStart, s.mainExit = pid, pid, exitStatus{}
		s.setAlien(st)
	}
}

// setAlien notes whether the main process is a child of the manager. Of any
// other it learns by a pidfd, and acts on it only where systemd would hear: when
// the parent is gone, too, and init has the process.
func (s *service) setAlien(st procStat) {
	s.alienWatch.close()
	s.alien, s.alienParent, s.alienWatch = st.parent != os.Getpid(), st.parent, nil
	if !s.alien {
		return
	}
	s.log.printf("%s: Supervising process %d which is not our child. We'll most likely not notice when it exits.", s.name, st.pid)
	s.alienWatch = s.m.watchPid(st.pid, func() {
		if s.main != st.pid || !isGone(st.parent) {
			return
		}
		e := exitStatus{exited, 0} // init alone knows
		if s.state == stopKill || s.state == finalKill {
			e = exitStatus{killed, int(unix.SIGKILL)}
		}
		s.exited(st.pid, e)
	})
}

// reviewAlien is part of a daemon-reload: it reads the parent of the main process
// again. An orphaned main process is a child of init by now.
func (s *service) reviewAlien() {
	if s.alien && isGone(s.alienParent) {
		s.alien = false
	}
}

func isGone(pid int) bool {
	st, ok := readStat(pid)
	return !ok || st.zombie
}
