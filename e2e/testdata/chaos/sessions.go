package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

const (
	chatName   = "chat"
	chatFormat = "count/1" // the lines that were answered, and the half of the next
)

// sessions answers each line with the number of lines of its connection, which goes
// on in the successor.
type sessions struct {
	u  *reexec.Upgrader
	ln net.Listener
	l  *ledger
}

func openSessions(ctx context.Context, u *reexec.Upgrader, l *ledger) (*sessions, error) {
	ln, err := u.Listen(ctx, chatName, "tcp", "127.0.0.1:7070")
	return &sessions{u, ln, l}, errors.Join(err, u.Receive(chatName, chatFormat))
}

// serve returns when this generation has drained.
func (s *sessions) serve(ctx context.Context) error {
	if err := s.u.Ready(ctx); err != nil {
		return err
	}
	for range 2 { // a listener may have several callers of Accept
		go s.accept(ctx) // ends with the listener
	}
	return errors.Join(s.u.Drain(ctx), s.ln.Close())
}

func (s *sessions) accept(ctx context.Context) {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		go func() { // ends with the connection; Drain waits for that
			one := session{sessions: s, conn: c}
			if m, ok := c.(*reexec.Moved); ok {
				one.conn = m.Conn
				number, half, _ := strings.Cut(string(m.Data), " ")
				one.count, _ = strconv.Atoi(number) // a wrong one shows in the next answer
				one.half = half
			}
			one.serve(ctx)
		}()
	}
}

// session is one connection.
type session struct {
	*sessions
	conn  net.Conn
	count int
	half  string // of a line, that was read
}

func (s *session) serve(ctx context.Context) {
	defer s.conn.Close()
	defer s.u.OnDrain(func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })() // fails on a closed connection, which the read sees
	lines := bufio.NewReader(s.conn)
	for {
		text, err := lines.ReadString('\n')
		s.half += text
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.leaves(ctx) {
				return
			}
		case err != nil:
			return
		default:
			id := strings.TrimSpace(s.half)
			s.half = ""
			s.count++
			s.l.note(id)
			fmt.Fprintf(s.conn, "count=%d generation=%d pid=%d id=%s\n", s.count, s.u.Generation(), os.Getpid(), id) // a client that has left is seen by the next read
			if s.u.Stopping() && s.leaves(ctx) {
				return
			}
		}
	}
}

// leaves reports whether this process is done with the session. In a stop it answers at
// least one line first: the client has been accepted.
func (s *session) leaves(ctx context.Context) bool {
	if s.u.Move(ctx, chatName, s.conn, chatFormat, fmt.Appendf(nil, "%d %s", s.count, s.half)) == nil {
		return true
	}
	_ = s.conn.SetReadDeadline(time.Time{})
	return s.u.Stopping() && s.count > 0
}
