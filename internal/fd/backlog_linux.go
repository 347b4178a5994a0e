package fd

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Backlog returns how much waits in the queue of a TCP listener or a UDP socket, and the most
// that can: connections for a listener, bytes of memory for a UDP socket. ok is false for
// other sockets.
func Backlog(c syscall.Conn) (waiting, limit int, ok bool) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	err = rc.Control(func(raw uintptr) { waiting, limit, ok = backlog(int(raw)) })
	return waiting, limit, ok && err == nil
}

func backlog(raw int) (waiting, limit int, ok bool) {
	kind, err := unix.GetsockoptInt(raw, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return 0, 0, false
	}
	if kind == unix.SOCK_DGRAM {
		limit, err = unix.GetsockoptInt(raw, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if err != nil {
			return 0, 0, false
		}
		memory, err := unix.GetsockoptInt(raw, unix.SOL_SOCKET, unix.SO_MEMINFO) // the first of its numbers is SK_MEMINFO_RMEM_ALLOC
		return memory, limit, err == nil
	}
	const listen = 10 // TCP_LISTEN in net/tcp_states.h
	info, err := unix.GetsockoptTCPInfo(raw, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State != listen {
		return 0, 0, false
	}
	return int(info.Unacked), int(info.Sacked), true // of a listener: sk_ack_backlog and sk_max_ack_backlog, tcp_get_info in the kernel
}
