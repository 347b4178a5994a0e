//go:build linux

package reexec_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A testClient is a client with one connection.
type testClient struct {
	*scene
	conn  net.Conn
	lines *bufio.Reader
	host  int // pid of the process that accepted it
	stop  func() bool
}

// visit connects, and returns when somebody has accepted.
func (s *scene) visit(network, address string) *testClient {
	s.Helper()
	g, err := s.tryVisit(network, address)
	if err != nil {
		s.Fatalf("nobody accepts at %s: %v", address, err)
	}
	return g
}

func (s *scene) tryVisit(network, address string) (*testClient, error) {
	conn, err := new(net.Dialer).DialContext(s.ctx, network, address)
	if err != nil {
		return nil, err
	}
	g := &testClient{scene: s, conn: conn, lines: bufio.NewReader(conn)}
	g.stop = context.AfterFunc(s.ctx, func() { conn.Close() })
	s.Cleanup(g.leave)
	line, err := g.lines.ReadString('\n')
	if err != nil {
		return nil, err
	}
	g.host, err = strconv.Atoi(strings.TrimSpace(line))
	return g, err
}

// talk checks that the connection still works.
func (g *testClient) talk() {
	g.Helper()
	if _, err := fmt.Fprintln(g.conn, "still there?"); err != nil {
		g.Errorf("client of process %d: %v", g.host, err)
		return
	}
	if line, err := g.lines.ReadString('\n'); err != nil || line != "still there?\n" {
		g.Errorf("client of process %d: %q, %v", g.host, line, err)
	}
}

func (g *testClient) leave() {
	g.stop()
	_ = g.conn.Close() // it was only read
}

// hosted checks that it is r and nobody else who accepts: with several in the
// race for a connection, one would win now and then.
func (s *scene) hosted(address string, r *process) {
	s.Helper()
	for range 20 {
		g := s.visit("tcp", address)
		if g.host != r.PID {
			s.Errorf("process %d accepts, want %d", g.host, r.PID)
			return
		}
		g.talk()
		g.leave()
	}
}

// deserted checks that nobody listens any more. A process that ends closes its
// descriptors one after the other, and can have a client in its queue when it does.
func (s *scene) deserted(address string) {
	s.Helper()
	g, err := s.tryVisit("tcp", address)
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, io.EOF) {
		s.Errorf("a new client gets %+v, %v", g, err)
	}
}
