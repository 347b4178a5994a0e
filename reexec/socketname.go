package reexec

import (
	"fmt"
	"strconv"
	"strings"
)

// storePrefix begins the name of everything that we put into the fd store, which
// so can be told from what a .socket unit passes. The rest of the name is the
// index and the program's own name: the store keeps no order and allows
// duplicates, so the name has to say all.
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

// checkSocketName holds names to what FileDescriptorName= and FDNAME= allow.
func checkSocketName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("reexec: a socket needs a name, the FileDescriptorName= of its unit")
	case len(name) > maxSocketName:
		return fmt.Errorf("reexec: socket name of %d characters, at most %d are possible", len(name), maxSocketName)
	case strings.HasPrefix(name, storePrefix):
		return fmt.Errorf("reexec: socket name %q: the prefix %q is the library's own", name, storePrefix)
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' || c == ':' {
			return fmt.Errorf("reexec: socket name %q: only printable ASCII without a colon is possible", name)
		}
	}
	return nil
}

// statePrefix begins the names of state in the fd store: sequence number and the
// program's own name follow. The newest is stored before the one before it is
// removed, so that a crash in between leaves two and not none.
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
