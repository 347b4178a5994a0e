//go:build !linux

package fd

import "syscall"

// PeerOf is not supported here.
func PeerOf(c syscall.Conn) (Peer, error) { return Peer{}, unsupported("peer credentials") }

// OwnerOf is not supported here.
func OwnerOf(path string) (uid int, err error) { return 0, unsupported("owner of " + path) }
