package sockets

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file names the socket that has the address of a bind that has failed. The usual reason is
// a name that differs: in Listen and in FileDescriptorName=, or in two versions of the program.

// explain returns err, the error of a bind, with the socket of this process that has the
// address.
func (s *Set) explain(err error) error {
	var failed *net.OpError
	if !errors.As(err, &failed) || failed.Addr == nil || !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if has := k.addr(); has != nil && sameEndpoint(failed.Addr, has) {
			return fmt.Errorf("%w: %s", err, k.owner(has))
		}
	}
	return err
}

// addr returns the address of k, nil if it has none.
func (k *socket) addr() net.Addr {
	switch use := k.use.(type) {
	case interface{ Addr() net.Addr }:
		return use.Addr()
	case interface{ LocalAddr() net.Addr }:
		return use.LocalAddr()
	}
	if k.unclaimed.Raw() < 0 {
		return nil
	}
	info, err := fd.Inspect(k.unclaimed)
	if err != nil {
		return nil
	}
	return info.Addr
}

// owner says who has the address of k, and what to do.
func (k *socket) owner(at net.Addr) string {
	switch {
	case k.use != nil:
		return fmt.Sprintf("this process has claimed socket %q at %v: claim each socket once", k.Name, at)
	case k.Origin == handover.OriginUnit:
		return fmt.Sprintf("the unit passes socket %q at %v: use one name in Listen and FileDescriptorName=", k.Name, at)
	}
	return fmt.Sprintf("an earlier process has bound socket %q at %v: use that name, or stop and start the unit", k.Name, at)
}

// sameEndpoint reports whether the kernel may refuse address because of a socket at has.
func sameEndpoint(address, has net.Addr) bool {
	switch a := address.(type) {
	case *net.TCPAddr:
		h, ok := has.(*net.TCPAddr)
		return ok && a.Port == h.Port
	case *net.UDPAddr:
		h, ok := has.(*net.UDPAddr)
		return ok && a.Port == h.Port
	case *net.UnixAddr:
		h, ok := has.(*net.UnixAddr)
		return ok && a.Name == h.Name
	}
	return false
}
