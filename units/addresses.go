package units

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Addresses that systemd reads, and addresses that cannot both be listened on.

// badListen says why systemd ignores a Listen line, "" if it reads the line or a specifier
// hides the address.
func badListen(m *merged.Unit, a unitfile.Assignment) string {
	kind, listens := strings.CutPrefix(a.Key, "Listen")
	value := merged.Expand(m.Name, a.Value)
	unknown := strings.Contains(value, "%") && !strings.Contains(a.Value, "%%")
	if a.Section != "Socket" || !listens || a.Value == "" || unknown || merged.AnInstance(m.Name) != m.Name && perInstance(a.Value) {
		return ""
	}
	return badAddress(kind, value)
}

// badAddress says why systemd cannot listen on address for a setting such as ListenStream=,
// whose kind is Stream. "" means that it can.
func badAddress(kind, address string) string {
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

// A listenLine is a Listen line of a .socket unit.
type listenLine struct {
	unit *merged.Unit
	at   unitfile.Assignment
}

// collides reports whether the kernel does not let l and other listen at once.
func (l listenLine) collides(other listenLine) bool {
	if unitfile.IsYes(l.unit.Last("Socket", "ReusePort").Value) && unitfile.IsYes(other.unit.Last("Socket", "ReusePort").Value) {
		return false
	}
	e, ok := endpointOf(l.unit, l.at)
	f, okOther := endpointOf(other.unit, other.at)
	switch {
	case !ok || !okOther:
		return ok == okOther && l.at.Key == other.at.Key && merged.Expand(l.unit.Name, l.at.Value) == merged.Expand(other.unit.Name, other.at.Value)
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
func (l listenLine) wild(e endpoint) bool { return e.at.Addr().IsUnspecified() }

// both reports whether e takes a port of IPv4 and of IPv6.
func (l listenLine) both(e endpoint) bool {
	return l.wild(e) && e.at.Addr().Is6() && l.unit.Last("Socket", "BindIPv6Only").Value != "ipv6-only"
}

// covers reports whether e takes the port of f among those of all addresses.
func (l listenLine) covers(e, f endpoint) bool {
	return l.wild(e) && (e.at.Addr().Is4() == f.at.Addr().Is4() || l.both(e))
}
