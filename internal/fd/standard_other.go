//go:build !linux

package fd

// OpenStandard does nothing here.
func OpenStandard() error { return nil }

// Inherited returns false.
func Inherited(raw int) bool { return false }
