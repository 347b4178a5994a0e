package machine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cutover-go/cutover/e2e/internal/files"
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
	if terr := m.threads.do(context.Background(), func() { err = files.Replace(path, r, mode) }); terr != nil {
		return terr
	}
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	return nil
}
