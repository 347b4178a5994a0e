//go:build !linux

package fd

// Open is not supported here.
func (a Vsock) Open() (s *FD, datagram bool, err error) {
	return nil, false, unsupported("open a vsock socket")
}

// Connect is not supported here.
func (a Vsock) Connect(raw uintptr) error { return unsupported("connect a vsock socket") }

// ShutdownWrite is not supported here.
func ShutdownWrite(raw uintptr) error { return unsupported("shut a vsock socket") }
