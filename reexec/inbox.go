package reexec

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file passes datagrams from the process that reads a UDP socket to the one
// whose flow they belong to. Each process that shares the socket has an inbox, one
// end of a SOCK_SEQPACKET pair. The other end, the outlet, is with every process
// that can come to read the socket: a predecessor makes the inbox of its successor,
// and so can pass to it what it began on trial if the upgrade is undone; all outlets
// go to each successor. When a process is gone, its outlet says so at the next use.

// flowPrefix begins the name of inboxes and outlets among the descriptors of a
// generation; index and name of their socket follow.
const flowPrefix = storePrefix + "flows."

func flowName(socket handover.Entry) string {
	return flowPrefix + strconv.Itoa(socket.Index) + "." + socket.Name
}

// inboxBuffer is what is asked for; the kernel gives no more than net.core.wmem_max,
// 212992 bytes by default. It is the same with the UDP socket that stands before it.
const inboxBuffer = 4 << 20

// newInbox makes a pair.
func newInbox() (inbox, outlet *fd.FD, err error) {
	inbox, outlet, err = fd.Pair()
	if err == nil {
		_ = outlet.SetSendBuffer(inboxBuffer) // the default is a smaller buffer, no failure
	}
	return inbox, outlet, err
}

// outlets are the ways to the processes that share one socket, by their numbers.
type outlets struct {
	mu   sync.Mutex
	ways map[uint32]*fd.FD
	own  uint32 // the number of this process
	last uint32 // the highest number that this line of processes has given
	buf  []byte
}

// add consumes way, to the process numbered n.
func (o *outlets) add(n uint32, way *fd.FD) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.ways[n].Close() // none, or a second one of the same
	o.ways[n] = way
	o.last = max(o.last, n)
}

// pass gives a datagram to the process numbered to, and reports whether there is
// one. It does not wait: an inbox that is full loses it, as a socket would.
func (o *outlets) pass(to uint32, datagram []byte, from netip.AddrPort) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ways[to] == nil {
		return false
	}
	o.buf = appendFrame(o.buf[:0], datagram, from)
	return o.send(to, o.buf)
}

// send sends a frame, and drops the outlet of a process that is gone.
func (o *outlets) send(to uint32, frame []byte) bool {
	way := o.ways[to]
	err := fd.Send(uintptr(way.Raw()), frame, nil)
	if !slices.ContainsFunc(hungUp, func(e error) bool { return errors.Is(err, e) }) {
		return true
	}
	_ = way.Close() // nobody is there
	delete(o.ways, to)
	return false
}

// hungUp are the errors of a unix socket without another end.
var hungUp = []error{syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ENOTCONN}

// handOn returns what a successor gets under name: an inbox, and the outlets of all
// that are there, its own among them. The caller closes the descriptors.
func (o *outlets) handOn(name string) (entries []handover.Entry, fds []*fd.FD, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	inbox, outlet, err := newInbox()
	if err != nil {
		return nil, nil, err
	}
	o.last++
	o.ways[o.last] = outlet
	entries = append(entries, handover.Entry{Name: name, Index: int(o.last), Origin: handover.OriginInbox})
	fds = append(fds, inbox)
	for n := range o.ways {
		if n != o.own && !o.send(n, noDatagram) {
			continue
		}
		way, err := o.ways[n].Dup()
		if err != nil {
			fd.CloseAll(fds)
			return nil, nil, err
		}
		entries = append(entries, handover.Entry{Name: name, Index: int(n), Origin: handover.OriginOutlet})
		fds = append(fds, way)
	}
	return entries, fds, nil
}

func (o *outlets) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, way := range o.ways {
		_ = way.Close() // nothing is lost: a frame is in the other end's queue
		delete(o.ways, n)
	}
}

// maxFrame is the longest frame: an address with a zone, and a UDP datagram.
const maxFrame = 1 + 255 + 65535

// noDatagram is a frame for nobody; sending it finds out whether anybody is there.
var noDatagram = []byte{0}

// appendFrame puts the length of the peer's address and the address before the
// datagram.
func appendFrame(b, datagram []byte, from netip.AddrPort) []byte {
	b, err := from.AppendBinary(append(b, 0))
	if err != nil || len(b) > 256 {
		return append(b[:0], noDatagram...) // no peer has such an address
	}
	b[0] = byte(len(b) - 1)
	return append(b, datagram...)
}

// parseFrame returns a part of frame. False means that it holds no datagram.
func parseFrame(frame []byte) (datagram []byte, from netip.AddrPort, ok bool) {
	if len(frame) == 0 || int(frame[0]) >= len(frame) {
		return nil, from, false
	}
	end := 1 + int(frame[0])
	err := from.UnmarshalBinary(frame[1:end])
	return frame[end:], from, err == nil && from.IsValid()
}
