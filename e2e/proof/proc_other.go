//go:build !linux

package proof

import (
	"context"
	"errors"
	"net"
	"time"
)

func quiet(net.Conn) bool { return false }

func awaitEnd(context.Context, int, time.Duration) (bool, error) { return false, errors.ErrUnsupported }
