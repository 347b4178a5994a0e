package sockets

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// strays are sockets with an address that differs from the program's, and unit sockets that no
// Listen has claimed. The log and STATUS= name them, because clients only see an address
// without an answer.
type strays struct {
	mu    sync.Mutex
	moved []string // sockets on another address than the program's
	lost  []string // unit sockets that no Listen has claimed
}

// compare notes a socket that an earlier process of the program bound to another address. The
// name decides, so the new address takes effect with the next bind, after a stop, which
// empties the fd store. Sockets of a .socket unit are not compared: the unit sets their
// addresses.
func (s *Set) compare(k *socket, network, address string, has net.Addr) {
	if k.Origin != handover.OriginOwn || sameAddress(network, address, has) {
		return
	}
	text := fmt.Sprintf("socket %q listens on %v, not on %s: stop and start the unit to move it", k.Name, has, address)
	s.log.Warn("socket listens on the address of an earlier process", "socket", k.Name, "listens", has.String(), "asked", address)
	s.strays.mu.Lock()
	defer s.strays.mu.Unlock()
	s.strays.moved = append(s.strays.moved, text)
}

// sameAddress reports whether a bind to address could result in the address has. For a host
// name it compares only the port, because a look-up could block.
func sameAddress(network, address string, has net.Addr) bool {
	var at netip.AddrPort
	switch has := has.(type) {
	case *net.TCPAddr:
		at = has.AddrPort()
	case *net.UDPAddr:
		at = has.AddrPort()
	case *net.UnixAddr:
		if strings.HasPrefix(has.Name, "@") || strings.HasPrefix(address, "@") {
			return has.Name == address
		}
		return address == "" || filepath.Clean(has.Name) == filepath.Clean(address)
	default:
		return true
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return true // no bind has checked address either
	}
	port, err := net.LookupPort(network, service)
	if err != nil || port == 0 {
		return true
	}
	if port != int(at.Port()) {
		return false
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return at.Addr().IsUnspecified()
	case err != nil:
		return true
	case ip.IsUnspecified():
		return at.Addr().IsUnspecified()
	}
	return ip.Unmap().WithZone("") == at.Addr().WithZone("")
}

// NoteUnclaimed notes the unit's sockets that the program did not claim before Ready.
func (s *Set) NoteUnclaimed() {
	lost := s.unclaimed()
	s.strays.mu.Lock()
	defer s.strays.mu.Unlock()
	if len(lost) > len(s.strays.lost) {
		s.log.Warn("no Listen has claimed these sockets of the unit", "sockets", lost)
	}
	s.strays.lost = lost
}

// Strays returns the part of STATUS= about strays, "" if there are none.
func (s *Set) Strays() string {
	s.strays.mu.Lock()
	defer s.strays.mu.Unlock()
	text := ""
	for _, moved := range s.strays.moved {
		text += "; " + moved
	}
	if len(s.strays.lost) > 0 {
		text += "; no Listen has claimed " + strings.Join(s.strays.lost, ", ") + " of the unit: clients wait there"
	}
	return text
}

// unclaimed returns the unit's sockets that the program has not claimed, with their addresses.
func (s *Set) unclaimed() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Origin != handover.OriginUnit || k.unclaimed.Raw() < 0 {
			continue
		}
		name := fmt.Sprintf("socket %q", k.Name)
		if info, err := fd.Inspect(k.unclaimed); err == nil && info.Addr != nil {
			name += " at " + info.Addr.String()
		}
		names = append(names, name)
	}
	return names
}
