package proof

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// TCP is a probe that connects and closes the connection. It needs no protocol and tells
// little: a listening socket takes connections that no process accepts. Prefer a probe that
// asks for something.
func TCP(address string) Probe {
	address = numeric(address)
	return Probe{protocol: "TCP connect", address: address, fresh: true, open: func(ctx context.Context, dial Dial) (session, error) {
		c, err := dial(ctx, streamNetwork(address), address)
		if err != nil {
			return nil, dialError{err}
		}
		return &connSession{Conn: c}, nil
	}}
}

// TCPLine is a probe that sends a line and waits for one. address may be the path of a unix
// socket.
func TCPLine(address, line string) Probe {
	p := TCP(address)
	open := p.open
	p.protocol, p.kept = "TCP line", true
	p.open = func(ctx context.Context, dial Dial) (session, error) {
		s, err := open(ctx, dial)
		if err != nil {
			return nil, err
		}
		c := s.(*connSession)
		return &lineSession{connSession: c, br: bufio.NewReader(c), line: strings.TrimSuffix(line, "\n") + "\n"}, nil
	}
	return p
}

// UDP is a probe that sends a datagram from a new socket and waits for one. An answer may
// be any datagram.
func UDP(address string, request []byte) Probe {
	address = numeric(address)
	return Probe{protocol: "UDP", address: address, fresh: true, open: func(ctx context.Context, dial Dial) (session, error) {
		c, err := dial(ctx, "udp", address)
		if err != nil {
			return nil, dialError{err}
		}
		return &datagramSession{connSession{Conn: c}, request}, nil
	}}
}

// streamNetwork returns the network of an address or of a path.
func streamNetwork(address string) string {
	if strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		return "unix"
	}
	return "tcp"
}

// A connSession asks nothing.
type connSession struct{ net.Conn }

func (s *connSession) ask(context.Context) error { return nil }

func (s *connSession) idle() bool { return quiet(s.Conn) }

// bound ends reads and writes of the connection with ctx, until release is called.
func (s *connSession) bound(ctx context.Context) (release func()) {
	deadline, _ := ctx.Deadline() // every request has one
	_ = s.SetDeadline(deadline)   // fails on a dead connection, as the next call then does
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	return func() {
		stop()
		_ = s.SetDeadline(time.Time{}) // as above
	}
}

type lineSession struct {
	*connSession
	br   *bufio.Reader
	line string
}

func (s *lineSession) ask(ctx context.Context) error {
	defer s.bound(ctx)()
	if _, err := s.Write([]byte(s.line)); err != nil {
		return err
	}
	answer, err := s.br.ReadString('\n')
	if err != nil && answer != "" {
		return truncatedError{err}
	}
	return err
}

type datagramSession struct {
	connSession
	request []byte
}

func (s *datagramSession) ask(ctx context.Context) error {
	defer s.bound(ctx)()
	if _, err := s.Write(s.request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	_, err := s.Read(make([]byte, 1<<16))
	return err
}
