//go:build !linux

package fd

// Peek is not supported here.
func Peek(uintptr, []byte) (int, bool, error) { return 0, true, unsupported("look at unread bytes") }

// Take is not supported here.
func Take(uintptr, []byte) (int, bool, error) { return 0, true, unsupported("take unread bytes") }
