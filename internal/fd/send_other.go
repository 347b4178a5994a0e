//go:build !linux

package fd

// Send is not supported here.
func Send(raw uintptr, p, oob []byte) error { return unsupported("send to the service manager") }

// Receive is not supported here.
func Receive(raw uintptr, p []byte) (int, error) { return 0, unsupported("receive") }

// SetSendBuffer is not supported here.
func (f *FD) SetSendBuffer(bytes int) error { return unsupported("set a buffer") }
