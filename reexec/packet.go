package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/packet"
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
	// and Restore. It has 65,536 clients; if more of them talk, those of this process that are
	// silent longest leave it, and their first datagram after an upgrade goes to the process
	// that accepts. Set Flows longer than the time after which the protocol forgets a client.
	// A client that began with the successor of an undone trial belongs to this process from its next
	// datagram on. See [Upgrader.ListenFlows] for the details. Zero means that each datagram stands
	// alone.
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
	if err := s.check(); err != nil {
		return nil, serviceFailed(s.Name, err)
	}
	server := &packet.Server{Serve: s.Serve, Endings: u.endings, Drain: u.drained}
	if s.Flows > 0 {
		p, err := s.listenPeers(ctx, u)
		return func(context.Context) error { return s.result(server.RunFlows(p)) }, err
	}
	c, err := u.ListenPacket(ctx, s.Name, "", s.Address)
	if err != nil {
		return nil, err
	}
	answer := s.Answer
	if answer == 0 {
		answer = answerTime
	}
	q := packet.NewUnanswered(answer, u.drain, u.endings)
	return func(context.Context) error { return s.result(server.Run(c.(packet.Socket), q)) }, nil
}

// check returns an error for fields with which no datagram is answered.
func (s *PacketService) check() error {
	switch {
	case s.Serve == nil:
		return errors.New("PacketService.Serve is nil")
	case s.Answer < 0:
		return fmt.Errorf("PacketService.Answer is negative: %v", s.Answer)
	case s.Flows < 0:
		return fmt.Errorf("PacketService.Flows is negative: %v", s.Flows)
	}
	return nil
}

// result returns the error of a server that has ended.
func (s *PacketService) result(r packet.Result) error {
	if r.Err != nil {
		return serviceFailed(s.Name, r.Err)
	}
	return cutError(s.Name, r.Cut, r.Late)
}

// listenPeers claims the socket and its table of clients.
func (s *PacketService) listenPeers(ctx context.Context, u *Upgrader) (p *packet.Peers, err error) {
	p = packet.NewPeers(s.Flows, u.drain, u.endings)
	p.Conn, err = u.sockets.ListenFlows(ctx, s.Name, "udp", s.Address, p.Route)
	if err != nil {
		return nil, err
	}
	name := "peers of " + s.Name
	save := u.Save(name, func() (State, error) {
		table, err := p.Save()
		return State{Version: 1, Data: table}, err
	})
	restore := u.Restore(name, func(of State) error {
		if of.Version != 1 {
			return fmt.Errorf("version %d of the table of peers is unknown", of.Version)
		}
		return p.Restore(of.Data)
	})
	return p, errors.Join(save, restore)
}
