//go:build !linux

package upgradetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
)

func unsupported() error {
	return fmt.Errorf("upgradetest on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Init does nothing here.
func Init() {}

// A Manager needs Linux.
type Manager struct{}

// NewManager returns an error wrapping [errors.ErrUnsupported].
func NewManager(Options) (*Manager, error) { return nil, unsupported() }

// Version returns 0.
func (m *Manager) Version() int { return 0 }

// Install is not supported here.
func (m *Manager) Install(ctx context.Context, name, text string) error { return unsupported() }

// Start is not supported here.
func (m *Manager) Start(ctx context.Context, unit string) error { return unsupported() }

// Stop is not supported here.
func (m *Manager) Stop(ctx context.Context, unit string) error { return unsupported() }

// Restart is not supported here.
func (m *Manager) Restart(ctx context.Context, unit string) error { return unsupported() }

// Reload is not supported here.
func (m *Manager) Reload(ctx context.Context, unit string) error { return unsupported() }

// DaemonReload is not supported here.
func (m *Manager) DaemonReload(ctx context.Context) error { return unsupported() }

// Show is not supported here.
func (m *Manager) Show(ctx context.Context, unit, property string) (string, error) {
	return "", unsupported()
}

// Log is not supported here.
func (m *Manager) Log(ctx context.Context, unit string) (string, error) { return "", unsupported() }

// Wait is not supported here.
func (m *Manager) Wait(ctx context.Context, unit string, ok func(properties map[string]string) bool) error {
	return unsupported()
}

// Messages is not supported here.
func (m *Manager) Messages(unit string) []Message { return nil }

// DialContext connects as [net.Dialer] does.
func (m *Manager) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// Close does nothing here.
func (m *Manager) Close() error { return nil }
