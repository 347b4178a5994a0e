//go:build !linux

package fd

// Send is not supported here.
func Send(raw uintptr, p, oob []byte) error { return unsupported("send to the service manager") }
