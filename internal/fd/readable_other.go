//go:build !linux

package fd

import "syscall"

// Readable is not supported here.
func Readable(syscall.Conn) bool { return false }
