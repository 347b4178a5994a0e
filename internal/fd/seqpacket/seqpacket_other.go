//go:build !linux

package seqpacket

import (
	"errors"
	"fmt"
	"os"
)

// Dial is not supported here.
func Dial(address string) (*os.File, Peer, error) {
	return nil, Peer{}, fmt.Errorf("connect to %s: %w", address, errors.ErrUnsupported)
}

// OwnerOf is not supported here.
func OwnerOf(path string) (uid int, err error) {
	return 0, fmt.Errorf("owner of %s: %w", path, errors.ErrUnsupported)
}
