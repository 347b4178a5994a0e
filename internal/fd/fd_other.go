//go:build !linux

package fd

import (
	"errors"
	"fmt"
	"runtime"
)

func unsupported(what string) error {
	return fmt.Errorf("%s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}

func closeRaw(raw int) error { return unsupported("close descriptor") }

func dup(raw int) (*FD, error) { return nil, unsupported("duplicate descriptor") }

// CloseOnExec is not supported here.
func CloseOnExec(raw int) error { return unsupported("set close-on-exec") }

// Pair is not supported here.
func Pair() (a, b *FD, err error) { return nil, nil, unsupported("socketpair") }
