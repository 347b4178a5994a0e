//go:build !linux

package fd

// Exec is not supported here.
func Exec(s Spawn, keep []*FD) error { return unsupported("replace the program of this process") }
