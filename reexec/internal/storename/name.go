// Package storename has the grammar of the names in the fd store. An entry carries a socket, a
// state, a connection, an end of a flow's inbox, a mark, or a program. Later versions of this library find
// entries by these names, so the grammar does not change.
package storename

import (
	"fmt"
	"strconv"
	"strings"
)

// Prefix is the prefix of every name that this library puts into the fd store. It
// distinguishes these entries from the sockets of a .socket unit. Index and name of the socket
// follow, because the store keeps no order and allows duplicate names.
const Prefix = "cutover."

// MaxLen is the length of the longest name of a socket or state. It leaves room for the prefix and index in the 255 characters that
// FDNAME= may have (sd_pid_notify_with_fds(3)).
const MaxLen = 200

// Socket returns the name of a socket.
func Socket(name string, index int) string {
	return Prefix + strconv.Itoa(index) + "." + name
}

// ParseSocket returns the name and index of a socket. ok is false for other entries.
func ParseSocket(s string) (name string, index int, ok bool) {
	rest, ok := strings.CutPrefix(s, Prefix)
	if !ok {
		return "", 0, false
	}
	number, name, ok := strings.Cut(rest, ".")
	if !ok {
		return "", 0, false
	}
	index, err := strconv.Atoi(number)
	if err != nil || index < 0 || Socket(name, index) != s {
		return "", 0, false
	}
	return name, index, true
}

// Check returns an error for a name that FileDescriptorName= or FDNAME= does not
// allow.
func Check(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("reexec: a socket needs a name, the FileDescriptorName= of its unit")
	case len(name) > MaxLen:
		return fmt.Errorf("reexec: socket name of %d characters, at most %d are possible", len(name), MaxLen)
	case strings.HasPrefix(name, Prefix):
		return fmt.Errorf("reexec: socket name %q: the prefix %q is reserved for this library", name, Prefix)
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
const statePrefix = Prefix + "state."

// SavedState is the name of a saved state.
type SavedState struct {
	Sequence int
	Name     string
}

// String returns the name in the fd store.
func (n SavedState) String() string { return statePrefix + strconv.Itoa(n.Sequence) + "." + n.Name }

// ParseSavedState returns the name of a state. ok is false for other entries.
func ParseSavedState(s string) (n SavedState, ok bool) {
	rest, ok := strings.CutPrefix(s, statePrefix)
	if !ok {
		return n, false
	}
	number, name, ok := strings.Cut(rest, ".")
	sequence, err := strconv.Atoi(number)
	n = SavedState{sequence, name}
	return n, ok && err == nil && sequence >= 0 && n.String() == s
}

// Connection is the name of a connection. It has the listener's name, the
// format, and the number of the entry with the data, 0 if there are none.
type Connection struct {
	Sequence     int
	Format, Name string
}

const (
	connectionPrefix = Prefix + "conn."
	dataPrefix       = Prefix + "data."
)

// String returns the name in the fd store.
func (n Connection) String() string {
	return fmt.Sprintf("%s%d!%s!%s", connectionPrefix, n.Sequence, n.Format, n.Name)
}

// Data returns the name of the entry with the data of the connection.
func (n Connection) Data() string { return dataPrefix + strconv.Itoa(n.Sequence) }

// ParseConnection returns the name of a connection. ok is false for other entries.
func ParseConnection(s string) (n Connection, ok bool) {
	rest, ok := strings.CutPrefix(s, connectionPrefix)
	parts := strings.SplitN(rest, "!", 3)
	if !ok || len(parts) != 3 {
		return n, false
	}
	sequence, err := strconv.Atoi(parts[0])
	n = Connection{sequence, parts[1], parts[2]}
	return n, err == nil && n.String() == s
}

// IsData reports whether s is the name of the data of a connection.
func IsData(s string) bool { return strings.HasPrefix(s, dataPrefix) }

// flowPrefix is the prefix of the names of inboxes and outlets. Index and name of their
// socket follow.
const flowPrefix = Prefix + "flows."

// Flow returns the name of the inbox and outlets of a socket.
func Flow(name string, index int) string { return flowPrefix + strconv.Itoa(index) + "." + name }

// Names of the marks, which prove that the manager has taken MAINPID=. Older versions of this library take them for unclaimed
// sockets, and remove them.
const (
	SuccessorMark   = indexZero + Prefix + "main.successor"
	PredecessorMark = indexZero + Prefix + "main.predecessor"
)

// indexZero is the prefix of the name of each Socket with index 0.
const indexZero = Prefix + "0."

// IsMark reports whether name is the name of a mark in the fd store.
func IsMark(name string) bool { return name == SuccessorMark || name == PredecessorMark }

// goodPrefix is the prefix of the entries that have a last good program. Older versions of this
// library take them for unclaimed sockets, and remove them.
const goodPrefix = indexZero + Prefix + "good."

// Good returns the name of the entry with the last good program, which is executed instead of the
// program with this identity.
func Good(identity string) string { return goodPrefix + identity }

// ParseGood returns the identity of the program that is not executed. ok is false for other
// entries.
func ParseGood(s string) (identity string, ok bool) { return strings.CutPrefix(s, goodPrefix) }
