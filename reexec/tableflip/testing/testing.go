// Package testing has an Upgrader that does not upgrade, for tests of programs and for systems
// without upgrades. Its API is that of github.com/cloudflare/tableflip/testing.
package testing

import (
	"context"
	"net"
	"os"

	"github.com/cutover-go/cutover/reexec/tableflip"
)

// Upgrader has the methods of tableflip.Upgrader.
type Upgrader struct {
	*Fds
}

// New returns an Upgrader. It may be called several times.
func New() (*Upgrader, error) { return &Upgrader{&Fds{}}, nil }

// Ready does nothing.
func (u *Upgrader) Ready() error { return nil }

// Exit returns nil, a channel that is never closed.
func (u *Upgrader) Exit() <-chan struct{} { return nil }

// Stop does nothing.
func (u *Upgrader) Stop() {}

// WaitForParent returns nil at once.
func (u *Upgrader) WaitForParent(ctx context.Context) error { return nil }

// HasParent returns false.
func (u *Upgrader) HasParent() bool { return false }

// Upgrade returns tableflip.ErrNotSupported.
func (u *Upgrader) Upgrade() error { return tableflip.ErrNotSupported }

// Fds has the methods of tableflip.Fds that programs call most. It inherits and hands over
// nothing.
type Fds struct{}

// Listen calls net.Listen.
func (f *Fds) Listen(network, addr string) (net.Listener, error) { return net.Listen(network, addr) }

// Listener returns nil.
func (f *Fds) Listener(network, addr string) (net.Listener, error) { return nil, nil }

// AddListener does nothing.
func (f *Fds) AddListener(network, addr string, ln net.Listener) error { return nil }

// Conn returns nil.
func (f *Fds) Conn(network, addr string) (net.Conn, error) { return nil, nil }

// AddConn does nothing.
func (f *Fds) AddConn(network, addr string, conn net.Conn) error { return nil }

// File returns nil.
func (f *Fds) File(name string) (*os.File, error) { return nil, nil }

// AddFile does nothing.
func (f *Fds) AddFile(name string, file *os.File) error { return nil }
