package units

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

// Addresses that a process listens on, compared with those of its .socket units.

// An endpoint is the address of a socket, as proc(5) or a unit has it.
type endpoint struct {
	network string // tcp, udp or unix
	at      netip.AddrPort
	anyIP   bool   // a unit with a port alone: at is that port on all addresses
	path    string // of a unix socket, or @ and the abstract name
}

func (e endpoint) String() string {
	if e.network == "unix" {
		return e.path
	}
	return e.at.String()
}

// serves reports whether a socket at e is what a unit with wanted asks for.
func (e endpoint) serves(wanted endpoint) bool {
	if wanted.anyIP {
		return e.network == wanted.network && e.at.Port() == wanted.at.Port() && e.at.Addr().IsUnspecified()
	}
	return e == wanted
}

// endpointOf returns the address of a Listen line of unit s. A line of another kind, such
// as a FIFO or vsock, has no endpoint.
func endpointOf(s *merged.Unit, a unitfile.Assignment) (endpoint, bool) {
	network := map[string]string{"ListenStream": "tcp", "ListenDatagram": "udp"}[a.Key]
	value := merged.ExpandPath(s.Name, a.Value)
	switch {
	case network == "" && a.Key != "ListenSequentialPacket", s.Last("Socket", "SocketProtocol").Value != "":
		return endpoint{}, false
	case strings.HasPrefix(value, "/") || strings.HasPrefix(value, "@"):
		return endpoint{network: "unix", path: value}, true
	case network == "":
		return endpoint{}, false
	}
	if port, err := strconv.ParseUint(value, 10, 16); err == nil {
		return endpoint{network: network, at: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), anyIP: true}, true
	}
	at, err := netip.ParseAddrPort(value)
	return endpoint{network: network, at: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}, err == nil
}

// elsewhere returns a fault for each address of .socket unit s that the main process p does
// not listen on. A process whose sockets cannot be read, or that has none, has no faults.
func elsewhere(s *merged.Unit, p process) (all []fault) {
	has := p.endpoints()
	if len(has) == 0 {
		return nil
	}
	for _, a := range s.Listening() {
		wanted, ok := endpointOf(s, a)
		if ok && !slices.ContainsFunc(has, func(e endpoint) bool { return e.serves(wanted) }) {
			all = append(all, wrongf(s, a, "%s=%s, the main process (%d) listens on %s, not there", a.Key, a.Value, p.pid, join(has))...)
		}
	}
	return all
}

func join(all []endpoint) string {
	words := make([]string, len(all))
	for i, e := range all {
		words[i] = e.String()
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " and ")
}

// endpoints returns the addresses that the process listens on. Listeners belong to a network
// namespace, and systemd binds them in its own: a process in another namespace has none here.
func (p process) endpoints() (all []endpoint) {
	dir := filepath.Join("/proc", strconv.Itoa(p.pid))
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
func parseEndpoint(table, line string) (e endpoint, inode string, ok bool) {
	f := strings.Fields(line)
	if table == "unix" {
		const accepts = 1 << 16 // __SO_ACCEPTCON
		if len(f) < 8 {
			return e, "", false // the heading, or a socket without a name
		}
		flags, err := strconv.ParseUint(f[3], 16, 32)
		_, name, _ := strings.Cut(line, " "+f[6]+" ")
		datagrams := f[4] == "0002"
		return endpoint{network: "unix", path: merged.Expand("", strings.TrimSuffix(name, "\n"))}, f[6], err == nil && (flags&accepts != 0 || datagrams)
	}
	network := strings.TrimSuffix(table, "6")
	waiting := map[string]string{"tcp": "0A", "udp": "07"}[network] // TCP_LISTEN, and TCP_CLOSE of a socket without a peer
	if len(f) < 10 || f[3] != waiting {
		return e, "", false
	}
	at, err := parseHexAddress(f[1])
	return endpoint{network: network, at: at}, f[9], err == nil
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
