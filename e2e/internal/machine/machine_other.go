//go:build !linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

var errOther = fmt.Errorf("machine: %w on %s", errors.ErrUnsupported, runtime.GOOS)

// A Machine cannot be had here.
type Machine struct{}

// Init does nothing here.
func Init() {}

// TempDir is os.MkdirTemp here.
func TempDir(prefix string) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp("", prefix)
	return dir, func() error { return os.RemoveAll(dir) }, err
}

// Available returns an error.
func (o Options) Available() error { return errOther }

// Boot returns an error.
func Boot(context.Context, Options) (*Machine, error) { return nil, errOther }

// Version is not supported here.
func (m *Machine) Version() int { return 0 }

// Console is not supported here.
func (m *Machine) Console() string { return "" }

// Close is not supported here.
func (m *Machine) Close() error { return errOther }

// Command returns a command that fails.
func (m *Machine) Command(_ context.Context, name string, _ ...string) *exec.Cmd {
	return &exec.Cmd{Path: name, Err: errOther}
}

// Run is not supported here.
func (m *Machine) Run(context.Context, string, ...string) ([]byte, error) { return nil, errOther }

func (m *Machine) run(context.Context, io.Writer, io.Writer, string, ...string) error {
	return errOther
}

// WriteFile is not supported here.
func (m *Machine) WriteFile(string, []byte, fs.FileMode) error { return errOther }

// CopyFile is not supported here.
func (m *Machine) CopyFile(string, string) error { return errOther }

// DialContext is not supported here.
func (m *Machine) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, errOther
}

func (m *Machine) dialManager(context.Context) (net.Conn, error) { return nil, errOther }

// HostPID is not supported here.
func (m *Machine) HostPID(int) (int, error) { return 0, errOther }

// ReadProc is not supported here.
func (m *Machine) ReadProc(int, string) ([]byte, error) { return nil, errOther }

// Signal is not supported here.
func (m *Machine) Signal(int, syscall.Signal) error { return errOther }
