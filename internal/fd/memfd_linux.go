package fd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// unchangeable are the seals that make a file's content immutable.
const unchangeable = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Memfd creates an empty file in memory that can be sealed. name, at most 249
// bytes, is for people who look into /proc. See memfd_create(2).
func Memfd(name string) (*FD, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	raw, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // MFD_NOEXEC_SEAL is of Linux 6.3
		raw, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return New(raw), nil
}

// Seal makes the content of the memfd raw unchangeable, for all who hold it.
func Seal(raw uintptr) error {
	_, err := unix.FcntlInt(raw, unix.F_ADD_SEALS, unchangeable|unix.F_SEAL_SEAL)
	return os.NewSyscallError("fcntl F_ADD_SEALS", err)
}

// IsSealed reports whether the content of the memfd raw is immutable. A file that is no
// memfd is an error.
func IsSealed(raw uintptr) (bool, error) {
	seals, err := unix.FcntlInt(raw, unix.F_GET_SEALS, 0)
	return seals&unchangeable == unchangeable, os.NewSyscallError("fcntl F_GET_SEALS", err)
}
