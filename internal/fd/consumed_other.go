//go:build !linux

package fd

import "syscall"

// Consumed is not supported here.
func Consumed(syscall.Conn) (int64, error) { return 0, unsupported("count read bytes") }
