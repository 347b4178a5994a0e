package fd

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Identity returns the identity of the file at path: its device, inode, size and time of
// modification. A file that replaced it has another identity. The time covers a new file that
// got the inode of a deleted one.
func Identity(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fmt.Sprintf("%x-%x-%x-%x", uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano()), nil
}

// SameOwner returns an error unless the files at both paths belong to one user.
func SameOwner(path, other string) error {
	var a, b unix.Stat_t
	if err := unix.Stat(path, &a); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if err := unix.Stat(other, &b); err != nil {
		return &os.PathError{Op: "stat", Path: other, Err: err}
	}
	if a.Uid != b.Uid {
		return fmt.Errorf("%s belongs to user %d, and %s to user %d", path, a.Uid, other, b.Uid)
	}
	return nil
}
