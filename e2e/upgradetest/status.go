//go:build linux

package upgradetest

import (
	"strconv"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// takeStatus reads STATUS=. A text that systemd does not take for UTF-8 clears it.
func (s *service) takeStatus(d *datagram) {
	v, ok := d.value("STATUS")
	if !ok {
		return
	}
	if !validStatus(v) {
		s.log.printf("%s: the status is not UTF-8, clearing it", s.name)
		v = ""
	}
	s.statusText = v
}

// validStatus reports whether text is UTF-8 without noncharacters, which
// unichar_is_valid of systemd refuses, too.
func validStatus(text string) bool {
	for _, r := range text {
		if r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE {
			return false
		}
	}
	return utf8.ValidString(text)
}

// takeAccess reads NOTIFYACCESS= and RESTART_RESET=1. A value that is no access
// takes the last one back.
func (s *service) takeAccess(d *datagram) {
	if v, ok := d.value("NOTIFYACCESS"); ok && s.m.options.Version >= 254 {
		s.access, _ = oneOf("none", "main", "exec", "all")(v) // else ""
	}
	if d.has("RESTART_RESET=1") && s.m.options.Version >= 258 {
		s.restarts = 0
	}
}

// takeErrors reads the assignments that only `systemctl status` shows.
func (s *service) takeErrors(d *datagram) {
	if v, ok := d.value("ERRNO"); ok {
		if n, err := strconv.Atoi(v); err == nil && n >= 0 && n < 4096 {
			s.statusErrno = n
		} else if n := errnoNamed(v); n != 0 {
			s.statusErrno = n
		}
	}
	if s.m.options.Version < 257 {
		return
	}
	if v, ok := d.value("BUSERROR"); ok {
		s.statusBus = v
	}
	if v, ok := d.value("VARLINKERROR"); ok {
		s.statusVarlink = v
	}
}

// errnoNamed returns the number of an error name such as ENOENT, 0 if unknown.
func errnoNamed(name string) int {
	for n := range 134 { // the last of asm-generic/errno.h is EHWPOISON, 133
		if unix.ErrnoName(unix.Errno(n)) == name {
			return n
		}
	}
	return 0
}
