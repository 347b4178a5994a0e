//go:build !linux

package fd

import "time"

// Monotonic is not supported here.
func Monotonic() (time.Duration, error) { return 0, unsupported("read CLOCK_MONOTONIC") }
