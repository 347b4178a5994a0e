//go:build !linux

package fd

// Poll is not supported here: there is none.
type Poll struct{}

// NewPoll is not supported here.
func NewPoll() (*Poll, error) { return nil, unsupported("wait for many sockets") }

// Add is not supported here.
func (p *Poll) Add(f *FD) error { return unsupported("wait for many sockets") }

// Remove is not supported here.
func (p *Poll) Remove(f *FD) error { return unsupported("wait for many sockets") }

// Wait is not supported here.
func (p *Poll) Wait() ([]int, error) { return nil, unsupported("wait for many sockets") }

// Close does nothing.
func (p *Poll) Close() error { return nil }
