//go:build !linux

package fd

import "syscall"

// PeerOf is not supported here.
func PeerOf(c syscall.Conn) (Peer, error) { return Peer{}, unsupported("peer credentials") }
