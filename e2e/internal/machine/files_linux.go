package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile writes data to path in the machine, with exactly mode. Directories that
// are missing are made. A file that is there is replaced by rename, so that its
// readers keep the old one.
func (m *Machine) WriteFile(path string, data []byte, mode fs.FileMode) error {
	return m.replace(path, bytes.NewReader(data), mode)
}

// CopyFile copies the host's file hostPath to path in the machine, with its mode, as
// WriteFile does: the way in which a package upgrade replaces a program that runs.
func (m *Machine) CopyFile(hostPath, path string) error {
	f, err := os.Open(hostPath)
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	return m.replace(path, f, info.Mode().Perm())
}

func (m *Machine) replace(path string, r io.Reader, mode fs.FileMode) error {
	var err error
	if terr := m.threads.do(context.Background(), func() { err = replace(path, r, mode) }); terr != nil {
		return terr
	}
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	return nil
}

// replace writes a file beside path and renames it to path.
func replace(path string, r io.Reader, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// A process that forks while the file is open for writing shares it until its
	// exec. Until then an execve of the file fails with ETXTBSY.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
