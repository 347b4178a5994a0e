//go:build !linux

package fd

// Identity is not supported here.
func Identity(path string) (string, error) { return "", unsupported("identify a file") }

// SameOwner is not supported here.
func SameOwner(path, other string) error { return unsupported("compare owners") }
