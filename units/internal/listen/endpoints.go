package listen

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// An Endpoint is the address of a socket, as proc(5) or a unit has it.
type Endpoint struct {
	network string // tcp, udp or unix
	at      netip.AddrPort
	anyIP   bool   // a unit with a port alone: at is that port on all addresses
	path    string // of a unix socket, or @ and the abstract name
}

// String returns the address, or the path of a unix socket.
func (e Endpoint) String() string {
	if e.network == "unix" {
		return e.path
	}
	return e.at.String()
}

// Serves reports whether a socket at e is what a unit with wanted asks for.
func (e Endpoint) Serves(wanted Endpoint) bool {
	if wanted.anyIP {
		return e.network == wanted.network && e.at.Port() == wanted.at.Port() && e.at.Addr().IsUnspecified()
	}
	return e == wanted
}

// EndpointOf returns the address of a Listen line of unit s. A line of another kind, such
// as a FIFO or vsock, has no endpoint.
func EndpointOf(s *merged.Unit, a unitfile.Assignment) (Endpoint, bool) {
	network := map[string]string{"ListenStream": "tcp", "ListenDatagram": "udp"}[a.Key]
	value := merged.ExpandPath(s.Name, a.Value)
	switch {
	case network == "" && a.Key != "ListenSequentialPacket", s.Last("Socket", "SocketProtocol").Value != "":
		return Endpoint{}, false
	case strings.HasPrefix(value, "/") || strings.HasPrefix(value, "@"):
		return Endpoint{network: "unix", path: value}, true
	case network == "":
		return Endpoint{}, false
	}
	if port, err := strconv.ParseUint(value, 10, 16); err == nil {
		return Endpoint{network: network, at: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), anyIP: true}, true
	}
	at, err := netip.ParseAddrPort(value)
	return Endpoint{network: network, at: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}, err == nil
}

// EndpointsOf returns the addresses that a process listens on. Listeners belong to a network
// namespace, and systemd binds them in its own: a process in another namespace has none here.
func EndpointsOf(pid int) (all []Endpoint) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	own, err := os.Readlink("/proc/self/ns/net")
	if its, errIts := os.Readlink(filepath.Join(dir, "ns/net")); err != nil || errIts != nil || its != own {
		return nil
	}
	inodes := map[string]bool{}
	descriptors, _ := filepath.Glob(filepath.Join(dir, "fd/*")) // the pattern is right
	for _, name := range descriptors {
		link, _ := os.Readlink(name) // "" for a descriptor that is closed meanwhile
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		text, _ := os.ReadFile(filepath.Join(dir, "net", table)) // a kernel without IPv6 has no tcp6
		for line := range strings.Lines(string(text)) {
			if e, inode, ok := parseEndpoint(table, line); ok && inodes[inode] {
				all = append(all, e)
			}
		}
	}
	return all
}

// parseEndpoint reads a line of /proc/PID/net/tcp and its like. ok is false for a connection.
func parseEndpoint(table, line string) (e Endpoint, inode string, ok bool) {
	f := strings.Fields(line)
	if table == "unix" {
		const accepts = 1 << 16 // __SO_ACCEPTCON
		if len(f) < 8 {
			return e, "", false // the heading, or a socket without a name
		}
		flags, err := strconv.ParseUint(f[3], 16, 32)
		_, name, _ := strings.Cut(line, " "+f[6]+" ")
		datagrams := f[4] == "0002"
		return Endpoint{network: "unix", path: merged.Expand("", strings.TrimSuffix(name, "\n"))}, f[6], err == nil && (flags&accepts != 0 || datagrams)
	}
	network := strings.TrimSuffix(table, "6")
	waiting := map[string]string{"tcp": "0A", "udp": "07"}[network] // TCP_LISTEN, and TCP_CLOSE of a socket without a peer
	if len(f) < 10 || f[3] != waiting {
		return e, "", false
	}
	at, err := parseHexAddress(f[1])
	return Endpoint{network: network, at: at}, f[9], err == nil
}

// parseHexAddress reads 0100007F:1F90: words in the machine's own order of bytes, and a port.
func parseHexAddress(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", text, hex.ErrLength)
	}
	for word := range slices.Chunk(raw, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	ip, _ := netip.AddrFromSlice(raw) // of a wrong length it is the zero address, which no unit has
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), nil
}
