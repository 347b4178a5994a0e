//go:build !linux

package fd

// Rights is not supported here.
func Rights(fds []*FD) []byte { return nil }

// ParseRights is not supported here.
func ParseRights(oob []byte) ([]*FD, error) { return nil, unsupported("pass descriptors") }

// Truncated is not supported here.
func Truncated(flags int) bool { return false }
