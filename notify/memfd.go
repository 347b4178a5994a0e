package notify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// Memfd returns a file in memory that holds data and is sealed: no process can
// change its content or size any more. With Memfd and Store a service keeps state
// across a restart. name, at most 249 bytes, only appears in /proc.
//
// The caller owns the file. Least version: Linux 3.17. See memfd_create(2) and
// fcntl(2), F_ADD_SEALS.
func Memfd(name string, data []byte) (*os.File, error) {
	f, err := newMemfd(name, data)
	if err != nil {
		return nil, fmt.Errorf("notify: memfd %q: %w", name, err)
	}
	return f, nil
}

func newMemfd(name string, data []byte) (*os.File, error) {
	m, err := fd.Memfd(name)
	if err != nil {
		return nil, err
	}
	f := m.File(name)
	_, err = f.Write(data)
	if err == nil {
		err = control(f, fd.Seal)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadMemfd returns the content of a file that Memfd has made, from the beginning
// whatever its offset, which stays as it is. The file stays the caller's. A file
// that is not sealed is an error, because another process could change it while it
// is read.
func ReadMemfd(file syscall.Conn) ([]byte, error) {
	data, err := readMemfd(file)
	if err != nil {
		return nil, fmt.Errorf("notify: read memfd: %w", err)
	}
	return data, nil
}

func readMemfd(file syscall.Conn) ([]byte, error) {
	if err := control(file, mustBeSealed); err != nil {
		return nil, err
	}
	d, err := fd.DupOf(file)
	if err != nil {
		return nil, err
	}
	f := d.File("memfd")
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(io.NewSectionReader(f, 0, info.Size()), data)
	return data, err
}

func mustBeSealed(raw uintptr) error {
	switch sealed, err := fd.IsSealed(raw); {
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("not a memfd: %w", err)
	case err != nil:
		return err
	case !sealed:
		return errors.New("not sealed; make it with Memfd")
	}
	return nil
}
