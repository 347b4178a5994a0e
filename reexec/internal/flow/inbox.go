package flow

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file passes datagrams from the process that reads a UDP socket to the process that
// owns their flow. Each process that shares the socket has an inbox, one end of a
// SOCK_SEQPACKET pair. Every process that may read the socket has the other end, the outlet.
// A predecessor makes the inbox of its successor, so it can pass datagrams to the flows of
// an undone trial. Each successor gets all outlets. A send to the outlet of a process that
// has ended fails, and the outlet is closed.

// inboxBuffer is the requested size. The kernel limits it to net.core.wmem_max, 212992 bytes
// by default, as it limits the buffer of the UDP socket.
const inboxBuffer = 4 << 20

// newInbox makes a pair.
func newInbox() (inbox, outlet *fd.FD, err error) {
	inbox, outlet, err = fd.Pair()
	if err == nil {
		_ = outlet.SetSendBuffer(inboxBuffer) // on error the inbox keeps the smaller default
	}
	return inbox, outlet, err
}

// outlets has the outlet of each process that shares one socket, by the number of the process.
type outlets struct {
	mu      sync.Mutex
	byOwner map[uint32]*fd.FD
	own     uint32 // the number of this process
	last    uint32 // the highest number that any generation has used
	buf     []byte // the frame of pass
}

// add consumes outlet, which leads to process n.
func (o *outlets) add(n uint32, outlet *fd.FD) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.byOwner[n].Close() // nil, or an older descriptor of the same outlet
	o.byOwner[n] = outlet
	o.last = max(o.last, n)
}

// pass sends a datagram to process to. It returns false if that process has ended. It does not
// wait: a full inbox loses the datagram, like a full socket.
func (o *outlets) pass(to uint32, datagram []byte, from netip.AddrPort) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byOwner[to] == nil {
		return false
	}
	o.buf = appendFrame(o.buf[:0], datagram, from)
	return o.send(to, o.buf)
}

// send sends a frame. It closes the outlet of a process that has ended, and returns false.
func (o *outlets) send(to uint32, frame []byte) bool {
	outlet := o.byOwner[to]
	err := fd.Send(uintptr(outlet.Raw()), frame, nil)
	if !slices.ContainsFunc(hungUp, func(e error) bool { return errors.Is(err, e) }) {
		return true
	}
	_ = outlet.Close() // the other end is closed
	delete(o.byOwner, to)
	return false
}

// hungUp are the errors of a unix socket without another end.
var hungUp = []error{syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ENOTCONN}

// HandOn returns the inbox of a new successor and the outlets of all processes, including the
// successor's, with entries called name. The caller closes the descriptors.
func (o *outlets) handOn(name string) (entries []handover.Entry, fds []*fd.FD, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	inbox, outlet, err := newInbox()
	if err != nil {
		return nil, nil, err
	}
	o.last++
	o.byOwner[o.last] = outlet
	entries = append(entries, handover.Entry{Name: name, Index: int(o.last), Origin: handover.OriginInbox})
	fds = append(fds, inbox)
	for n := range o.byOwner {
		if n != o.own && !o.send(n, noDatagram) {
			continue
		}
		outlet, err := o.byOwner[n].Dup()
		if err != nil {
			fd.CloseAll(fds)
			return nil, nil, err
		}
		entries = append(entries, handover.Entry{Name: name, Index: int(n), Origin: handover.OriginOutlet})
		fds = append(fds, outlet)
	}
	return entries, fds, nil
}

func (o *outlets) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, outlet := range o.byOwner {
		_ = outlet.Close() // sent frames stay in the queue of the inbox
		delete(o.byOwner, n)
	}
}

// maxFrame is the length of the longest frame: an address with a zone, and a UDP datagram.
const maxFrame = 1 + 255 + 65535

// noDatagram is a frame without a datagram. HandOn sends it to find out whether a process has
// ended.
var noDatagram = []byte{0}

// appendFrame appends a frame to b: the length of the peer's address, the address and the
// datagram.
func appendFrame(b, datagram []byte, from netip.AddrPort) []byte {
	b, err := from.AppendBinary(append(b, 0))
	if err != nil || len(b) > 256 {
		return append(b[:0], noDatagram...) // no peer has such an address
	}
	b[0] = byte(len(b) - 1)
	return append(b, datagram...)
}

// parseFrame returns the datagram of frame, which it does not copy, and its sender. ok is
// false if frame has no datagram.
func parseFrame(frame []byte) (datagram []byte, from netip.AddrPort, ok bool) {
	if len(frame) == 0 || int(frame[0]) >= len(frame) {
		return nil, from, false
	}
	end := 1 + int(frame[0])
	err := from.UnmarshalBinary(frame[1:end])
	return frame[end:], from, err == nil && from.IsValid()
}
