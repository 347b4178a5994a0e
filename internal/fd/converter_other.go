//go:build !linux

package fd

import "net"

// A Converter makes nothing here.
type Converter struct{}

// Listener is not supported here. It consumes f.
func (c *Converter) Listener(f *FD) (net.Listener, error) { return ListenerOf(f) }

// Close does nothing here.
func (c *Converter) Close() error { return nil }

// ListenerOf is not supported here. It consumes f.
func ListenerOf(f *FD) (net.Listener, error) {
	_ = f.Close() // there is none
	return nil, unsupported("listener of a descriptor")
}
