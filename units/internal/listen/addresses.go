package listen

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// BadLine says why systemd ignores a Listen line, "" if it reads the line or a specifier
// hides the address.
func BadLine(m *merged.Unit, a unitfile.Assignment) string {
	kind, listens := strings.CutPrefix(a.Key, "Listen")
	value := merged.Expand(m.Name, a.Value)
	unknown := strings.Contains(value, "%") && !strings.Contains(a.Value, "%%")
	if a.Section != "Socket" || !listens || a.Value == "" || unknown || merged.AnInstance(m.Name) != m.Name && merged.PerInstance(a.Value) {
		return ""
	}
	return BadAddress(kind, value)
}

// BadAddress says why systemd cannot listen on address for a setting such as ListenStream=,
// whose kind is Stream. "" means that it can.
func BadAddress(kind, address string) string {
	isPath := strings.HasPrefix(address, "/") && path.Clean(address) != "/"
	switch kind {
	case "FIFO", "Special", "MessageQueue", "USBFunction":
		if !isPath {
			return "systemd wants an absolute path"
		}
		return ""
	case "Stream", "Datagram", "SequentialPacket":
	default:
		return ""
	}
	switch {
	case isPath || strings.HasPrefix(address, "@") && len(address) > 1:
		if len(address) > longestSocketPath {
			return "the path is longer than the kernel allows"
		}
		return ""
	case strings.HasPrefix(address, "vsock"):
		if !isVsock(address) {
			return "a vsock address is vsock:CID:PORT"
		}
		return ""
	case kind == "SequentialPacket":
		return "only a path or an abstract name is possible"
	}
	return badInternet(address)
}

// longestSocketPath is the room in sockaddr_un, unix(7).
const longestSocketPath = 107

// badInternet is badAddress for a port, or an IP address and a port.
func badInternet(address string) string {
	if port, err := strconv.ParseUint(address, 10, 64); err == nil {
		if port == 0 || port > 65535 {
			return "a port is 1 to 65535"
		}
		return ""
	}
	if at, err := netip.ParseAddrPort(address); err == nil && at.Port() != 0 {
		return ""
	}
	host, port, found := strings.Cut(address, ":")
	if _, err := strconv.ParseUint(port, 10, 16); found && err == nil && (host == "" || host == "*") {
		return "systemd wants a port alone for all addresses: " + port
	}
	return "systemd wants a port, an IP address and a port, a path, or @ and a name; it looks no names up"
}

func isVsock(address string) bool {
	parts := strings.Split(address, ":")
	number := func(text string) bool { _, err := strconv.ParseUint(text, 10, 32); return err == nil }
	families := []string{"vsock", "vsock-stream", "vsock-dgram", "vsock-seqpacket"}
	return len(parts) == 3 && slices.Contains(families, parts[0]) && (parts[1] == "" || number(parts[1])) && number(parts[2])
}

// A Line is a Listen line of a .socket unit.
type Line struct {
	Unit *merged.Unit
	At   unitfile.Assignment
}

// Collides reports whether the kernel does not let l and other listen at once.
func (l Line) Collides(other Line) bool {
	if unitfile.IsYes(l.Unit.Last("Socket", "ReusePort").Value) && unitfile.IsYes(other.Unit.Last("Socket", "ReusePort").Value) {
		return false
	}
	e, ok := EndpointOf(l.Unit, l.At)
	f, okOther := EndpointOf(other.Unit, other.At)
	switch {
	case !ok || !okOther:
		return ok == okOther && l.At.Key == other.At.Key && merged.Expand(l.Unit.Name, l.At.Value) == merged.Expand(other.Unit.Name, other.At.Value)
	case e.network != f.network:
		return false
	case e.network == "unix":
		return e.path == f.path
	}
	same := e.at == f.at || e.at.Port() == f.at.Port() && l.wild(e) && other.wild(f) && (l.both(e) || other.both(f))
	// Datagrams go to the socket with the closest address.
	return same || e.network == "tcp" && e.at.Port() == f.at.Port() && (l.covers(e, f) || other.covers(f, e))
}

// wild reports whether e is a port on all addresses.
func (l Line) wild(e Endpoint) bool { return e.at.Addr().IsUnspecified() }

// both reports whether e takes a port of IPv4 and of IPv6.
func (l Line) both(e Endpoint) bool {
	return l.wild(e) && e.at.Addr().Is6() && l.Unit.Last("Socket", "BindIPv6Only").Value != "ipv6-only"
}

// covers reports whether e takes the port of f among those of all addresses.
func (l Line) covers(e, f Endpoint) bool {
	return l.wild(e) && (e.at.Addr().Is4() == f.at.Addr().Is4() || l.both(e))
}
