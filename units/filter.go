package units

import (
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// neededCalls are the system calls that an upgrade needs. clone3, pidfd_open and others are
// not among them, because older calls take their place.
var neededCalls = []string{"clone", "dup3", "execve", "fcntl", "memfd_create", "pidfd_send_signal", "pipe2", "recvmsg", "sendmsg", "socketpair", "waitid"}

// callGroups are the groups that have some of neededCalls; `systemd-analyze
// syscall-filter` of 252 lists them, and other versions agree on these.
var callGroups = map[string][]string{
	"@default":        {"execve"},
	"@basic-io":       {"dup3"},
	"@file-system":    {"fcntl"},
	"@ipc":            {"memfd_create", "pipe2"},
	"@process":        {"clone", "pidfd_send_signal", "waitid"},
	"@network-io":     {"recvmsg", "sendmsg", "socketpair"},
	"@system-service": neededCalls,
	"@known":          neededCalls,
}

// familyNames are other names of AF_UNIX that systemd reads.
var familyNames = map[string][]string{"AF_LOCAL": {"AF_UNIX"}, "AF_FILE": {"AF_UNIX"}}

// A filter is a list of allowed names, or, if it begins with ~, of forbidden names. Later
// lines add names to the list or remove names (systemd.exec(5)).
type filter struct {
	lists map[string]bool // is in the list
	deny  bool
}

func newFilter(lines []unitfile.Assignment, groups map[string][]string) filter {
	f := filter{lists: map[string]bool{}}
	for i, a := range lines {
		words, inverted := strings.CutPrefix(a.Value, "~")
		if i == 0 {
			f.deny = inverted
			for _, call := range groups["@default"] {
				f.lists[call] = !inverted // always allowed in a list of allowed calls
			}
		}
		for _, word := range strings.Fields(words) {
			word, _, _ = strings.Cut(word, ":") // the error number
			for _, member := range append(groups[word], word) {
				f.lists[member] = inverted == f.deny
			}
		}
	}
	return f
}

func (f filter) allows(word string) bool { return f.lists[word] != f.deny }
