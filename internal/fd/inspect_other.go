//go:build !linux

package fd

// Inspect is not supported here.
func Inspect(f *FD) (Info, error) { return Info{}, unsupported("inspect descriptor") }

// IsSocket reports false: nothing is passed here.
func (f *FD) IsSocket() bool { return false }

// Inherit is not supported here.
func Inherit(first, n int) ([]*FD, error) { return nil, unsupported("inherit descriptors") }

// PIDFDID is not supported here.
func PIDFDID() (uint64, error) { return 0, unsupported("identify process") }
