package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// answerTime is the default of PacketService.Answer.
const answerTime = time.Second

// A PacketService is a server of datagrams with questions and answers, such as DNS, as a
// [Service]. While another generation reads the socket, reads wait. Each datagram holds this
// generation until an answer is sent to its sender, so a server may answer on any goroutine.
// The socket is closed last.
type PacketService struct {
	Name    string // of the socket: FileDescriptorName= of the socket unit
	Address string // bound if no socket was passed: "host:port", or the path of a unix socket

	// Serve reads until ReadFrom returns net.ErrClosed. If it returns an error earlier, the
	// service has failed. If it returns nil and has not closed the socket, the server reads on
	// other goroutines.
	Serve func(net.PacketConn) error

	// Answer limits the time for which a draining generation waits for the answer to a
	// datagram. Datagrams that get no answer delay the end of the process by this time. Zero
	// means one second.
	Answer time.Duration

	// Flows is for UDP protocols whose clients have state in the server, such as TURN. If it
	// is set, all datagrams of a client go to the process that got the first one, until the
	// client was silent for this time. Each client holds its process so long, at most until
	// the drain deadline. When the end of the process is waited for (see Upgrader.Stopping),
	// half a second of silence is enough. The table of clients goes to the successor by Save
	// and Restore. Set Flows longer than the time after which the protocol forgets a client.
	// See [FlowConn] for the details. Zero means that each datagram stands alone.
	Flows time.Duration
}

// Packet returns a [PacketService] with serve as its server:
//
//	reexec.Packet("dns", ":53", serveUDP)
func Packet(name, address string, serve func(net.PacketConn) error) *PacketService {
	return &PacketService{Name: name, Address: address, Serve: serve}
}

// Listen claims the socket.
func (s *PacketService) Listen(ctx context.Context, u *Upgrader) (serve func(context.Context) error, err error) {
	if s.Flows > 0 {
		p, err := s.listenPeers(ctx, u)
		return func(context.Context) error { return s.read(u, p, p, p) }, err
	}
	c, err := u.ListenPacket(ctx, s.Name, "", s.Address)
	if err != nil {
		return nil, err
	}
	q := &questions{u: u, d: u.drain, limit: s.Answer}
	if q.limit == 0 {
		q.limit = answerTime
	}
	return func(context.Context) error { return s.read(u, q.on(c.(packetSocket)), c.(packetSocket), q) }, nil
}

// packetSocket has the methods of the sockets that ListenPacket returns.
type packetSocket interface {
	gate.Datagrams
	Ended() bool
}

// endable is a socket that knows whether it was closed.
type endable interface {
	Close() error
	Ended() bool
}

// clients are the clients whose datagrams hold this generation.
type clients interface {
	attend(over <-chan struct{})
	cut(name string, late error) error
}

// read runs Serve on pc, which reads c, until this generation has drained.
func (s *PacketService) read(u *Upgrader, pc net.PacketConn, c endable, q clients) error {
	served, drained, over := make(chan error, 1), u.drained(), make(chan struct{})
	defer close(over)
	go q.attend(over)                     // ends with over
	go func() { served <- s.Serve(pc) }() // ends when c is closed
	for {
		select {
		case err := <-served:
			served = nil
			switch {
			case closed(u.Draining()), err == nil && !c.Ended(): // as in StreamService.ended
			case err == nil || errors.Is(err, net.ErrClosed) && c.Ended():
				return nil
			default:
				return fmt.Errorf("reexec: service %q: %w", s.Name, err)
			}
		case late := <-drained:
			err := q.cut(s.Name, late)
			_ = c.Close() // the server may have closed it
			if served != nil {
				<-served // says that the socket is closed
			}
			return err
		}
	}
}

// on returns c with its questions.
func (q *questions) on(c packetSocket) net.PacketConn {
	if u, ok := c.(*gate.UDPConn); ok {
		return &udpQuestions{u, q}
	}
	return &packetQuestions{c, q}
}

// packetQuestions is a packet socket that notes questions and answers.
type packetQuestions struct {
	packetSocket
	q *questions
}

// ReadFrom reads a datagram and notes it.
func (c *packetQuestions) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.packetSocket.ReadFrom(b)
	if err == nil {
		c.q.ask(senderOf(from))
	}
	return n, from, err
}

// WriteTo sends a datagram and notes it.
func (c *packetQuestions) WriteTo(b []byte, to net.Addr) (int, error) {
	defer c.q.answer(senderOf(to))
	return c.packetSocket.WriteTo(b, to)
}

// udpQuestions is packetQuestions for UDP.
type udpQuestions struct {
	*gate.UDPConn
	q *questions
}

// ReadFrom reads a datagram and notes it.
func (c *udpQuestions) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.UDPConn.ReadFrom(b)
	if err == nil {
		c.q.ask(senderOf(from))
	}
	return n, from, err
}

// WriteTo sends a datagram and notes it.
func (c *udpQuestions) WriteTo(b []byte, to net.Addr) (int, error) {
	defer c.q.answer(senderOf(to))
	return c.UDPConn.WriteTo(b, to)
}

// ReadMsgUDP reads a datagram and notes it.
func (c *udpQuestions) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	n, oobn, flags, from, err = c.UDPConn.ReadMsgUDP(b, oob)
	if err == nil {
		c.q.ask(senderOf(from))
	}
	return n, oobn, flags, from, err
}

// WriteMsgUDP sends a datagram and notes it.
func (c *udpQuestions) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	defer c.q.answer(senderOf(to))
	return c.UDPConn.WriteMsgUDP(b, oob, to)
}
