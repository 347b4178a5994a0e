//go:build !linux

package fd

import "net"

// SocketListener is not supported here.
func (f *FD) SocketListener() (net.Listener, error) { return nil, unsupported("listen") }

// SocketConn is not supported here.
func (f *FD) SocketConn(peer net.Addr) (net.Conn, error) { return nil, unsupported("connect") }
