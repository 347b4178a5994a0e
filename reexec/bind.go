package reexec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// bind opens a listening socket of our own.
func bind(ctx context.Context, network, address string) (acceptor, error) {
	l, err := listen(ctx, network, address)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(ctx, network, address) {
		if err := os.Remove(address); err != nil {
			return nil, err
		}
		l, err = listen(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	return acceptorOf(l)
}

func listen(ctx context.Context, network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, network, address)
}

// abandoned reports whether address is the path of a unix socket whose process is
// dead. We never unlink a path on Close, since a successor may have the socket,
// so a program that was killed without an fd store finds its own path there.
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
		_ = c.Close() // somebody lives there
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// acceptorOf checks that a gate can hold l, which it closes on error.
func acceptorOf(l net.Listener) (acceptor, error) {
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	a, ok := l.(acceptor)
	if !ok {
		_ = l.Close() // the error below says why it is of no use
		return nil, fmt.Errorf("a %s listener cannot be handed over", l.Addr().Network())
	}
	return a, nil
}
