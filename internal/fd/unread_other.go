//go:build !linux

package fd

import "syscall"

// Unread is not supported here.
func Unread(syscall.Conn) (int, error) { return 0, unsupported("count unread bytes") }
