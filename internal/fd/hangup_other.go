//go:build !linux

package fd

import "syscall"

// HungUp is not supported here.
func HungUp(syscall.Conn) (bool, error) { return false, unsupported("look for a hang-up") }
