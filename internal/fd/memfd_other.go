//go:build !linux

package fd

// Memfd is not supported here.
func Memfd(name string) (*FD, error) { return nil, unsupported("create a memfd") }

// Seal is not supported here.
func Seal(raw uintptr) error { return unsupported("seal a memfd") }

// IsSealed is not supported here.
func IsSealed(raw uintptr) (bool, error) { return false, unsupported("read the seals of a memfd") }
