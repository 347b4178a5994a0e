package sockets

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// This file finds the paths of unix sockets, and those that a dead process has left.

// retryAbandoned calls listen. If the address is the path of a dead process's socket, it
// removes the path and calls listen again.
func retryAbandoned[L any](ctx context.Context, network, address string, listen func(context.Context, string, string) (L, error)) (L, error) {
	l, err := listen(ctx, network, address)
	if !errors.Is(err, syscall.EADDRINUSE) || !abandoned(ctx, network, address) {
		return l, err
	}
	if err := os.Remove(address); err != nil {
		return l, err
	}
	return listen(ctx, network, address)
}

// pathOf returns the path of a unix socket, or "" for other sockets.
func pathOf(c claimed) string {
	var addr net.Addr
	switch c := c.(type) {
	case *gate.Listener:
		addr = c.Addr()
	case *gate.PacketConn:
		addr = c.LocalAddr()
	}
	if u, ok := addr.(*net.UnixAddr); ok && strings.HasPrefix(u.Name, "/") {
		return u.Name
	}
	return ""
}

// abandoned reports whether address is the path of a unix socket whose process is dead.
// Close never unlinks a path, because a successor may have the socket. So a program that
// was killed without an fd store finds the path of its earlier socket.
func abandoned(ctx context.Context, network, address string) bool {
	if !strings.HasPrefix(network, "unix") {
		return false
	}
	info, err := os.Lstat(address)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		_ = c.Close() // another process accepts there
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
