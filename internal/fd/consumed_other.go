//go:build !linux

package fd

import "syscall"

// Consumed is not supported here.
func Consumed(syscall.Conn) (read, unread int64, err error) {
	return 0, 0, unsupported("count read bytes")
}
