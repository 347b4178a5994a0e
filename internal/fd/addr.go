package fd

import (
	"net"
	"strconv"
)

// VsockAddr is the address of an AF_VSOCK socket, vsock(7).
type VsockAddr struct{ CID, Port uint32 }

// Network returns "vsock".
func (a *VsockAddr) Network() string { return "vsock" }

// String returns CID and port in the form that net.SplitHostPort reads.
func (a *VsockAddr) String() string {
	return net.JoinHostPort(strconv.FormatUint(uint64(a.CID), 10), strconv.FormatUint(uint64(a.Port), 10))
}

// NetlinkAddr is the address of an AF_NETLINK socket, netlink(7).
type NetlinkAddr struct {
	Family int    // NETLINK_ROUTE, NETLINK_KOBJECT_UEVENT ...
	Port   uint32 // the socket's port ID, which is often a PID
	Groups uint32 // multicast groups 1 to 32, as a mask
}

// Network returns "netlink".
func (a *NetlinkAddr) Network() string { return "netlink" }

// String returns the family and the groups, both as numbers.
func (a *NetlinkAddr) String() string {
	return "family " + strconv.Itoa(a.Family) + " groups 0x" + strconv.FormatUint(uint64(a.Groups), 16)
}

// zone names the interface with the given index. The number stands in where the
// interface cannot be asked for: package net needs a netlink socket for that,
// which RestrictAddressFamilies= may forbid.
func zone(index uint32) string {
	if index == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}
