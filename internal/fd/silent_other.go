//go:build !linux

package fd

import (
	"syscall"
	"time"
)

// Silent is not supported here.
func Silent(syscall.Conn) (time.Duration, error) { return 0, unsupported("see the last data") }
