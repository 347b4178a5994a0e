//go:build !linux

package fd

// Inspect is not supported here.
func Inspect(f *FD) (Info, error) { return Info{}, unsupported("inspect descriptor") }

// KindOf is not supported here.
func KindOf(f *FD) (Kind, error) { return KindUnknown, unsupported("inspect descriptor") }

// Inherit is not supported here.
func Inherit(first, n int) ([]*FD, error) { return nil, unsupported("inherit descriptors") }

// PIDFDID is not supported here.
func PIDFDID() (uint64, error) { return 0, unsupported("identify process") }
