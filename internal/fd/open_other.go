//go:build !linux

package fd

// Open is not supported here.
func Open(int) (*Process, error) { return nil, unsupported("watch a process") }
