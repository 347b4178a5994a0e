package reexec

import (
	"fmt"
	"strconv"
	"strings"
)

// storePrefix is the prefix of every name that this package puts into the fd store. It
// distinguishes these entries from the sockets of a .socket unit. Index and name of the socket
// follow, because the store keeps no order and allows duplicate names.
const storePrefix = "cutover."

// maxSocketName leaves room for the prefix and index in the 255 characters that
// FDNAME= may have (sd_pid_notify_with_fds(3)).
const maxSocketName = 200

func storeName(name string, index int) string {
	return storePrefix + strconv.Itoa(index) + "." + name
}

func parseStoreName(s string) (name string, index int, ok bool) {
	rest, ok := strings.CutPrefix(s, storePrefix)
	if !ok {
		return "", 0, false
	}
	number, name, ok := strings.Cut(rest, ".")
	if !ok {
		return "", 0, false
	}
	index, err := strconv.Atoi(number)
	if err != nil || index < 0 || storeName(name, index) != s {
		return "", 0, false
	}
	return name, index, true
}

// checkSocketName returns an error for a name that FileDescriptorName= or FDNAME= does not
// allow.
func checkSocketName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("reexec: a socket needs a name, the FileDescriptorName= of its unit")
	case len(name) > maxSocketName:
		return fmt.Errorf("reexec: socket name of %d characters, at most %d are possible", len(name), maxSocketName)
	case strings.HasPrefix(name, storePrefix):
		return fmt.Errorf("reexec: socket name %q: the prefix %q is reserved for this library", name, storePrefix)
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' || c == ':' {
			return fmt.Errorf("reexec: socket name %q: only printable ASCII without a colon is possible", name)
		}
	}
	return nil
}

// statePrefix is the prefix of states in the fd store. Sequence number and name of the state
// follow. A new state is stored before the older one is removed, so that a crash in between
// leaves two entries instead of none.
const statePrefix = storePrefix + "state."

type stateName struct {
	sequence int
	name     string
}

func (n stateName) String() string { return statePrefix + strconv.Itoa(n.sequence) + "." + n.name }

func parseStateName(s string) (n stateName, ok bool) {
	rest, ok := strings.CutPrefix(s, statePrefix)
	if !ok {
		return n, false
	}
	number, name, ok := strings.Cut(rest, ".")
	sequence, err := strconv.Atoi(number)
	n = stateName{sequence, name}
	return n, ok && err == nil && sequence >= 0 && n.String() == s
}
