//go:build !linux

package fd

import "syscall"

// Backlog is not known here.
func Backlog(c syscall.Conn) (waiting, limit int, ok bool) { return 0, 0, false }
