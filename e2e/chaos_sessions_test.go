package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

const (
	sessionClass = "session"
	sessionGap   = 400 * time.Millisecond
	chatAddress  = "127.0.0.1:7070"
)

// session is one client that never leaves: it says a line each sessionGap, the answer
// to which counts the lines of the connection. It opens the next connection only when
// one has ended.
func (k *chaosClients) session(ctx context.Context, n int) {
	tick := time.NewTicker(sessionGap)
	defer tick.Stop()
	var s *sessionConn
	for number := 1; ; number++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if s != nil {
				s.conn.Close()
			}
			return
		}
		id, due := fmt.Sprintf("%s-%d-%d", sessionClass, n, number), time.Now()
		f := load.Failure{Class: sessionClass, ID: id, Due: due}
		if s == nil {
			if s, f.Err = k.site.openSession(); f.Err != nil {
				f.Kind = load.Refused
				k.fail(f)
				continue
			}
		}
		f.Local, f.Opened, f.Reused = s.conn.LocalAddr().String(), s.opened, s.count > 0
		f.Written = time.Now()
		if _, f.Kind, f.Err = s.say(id); f.Err != nil {
			k.fail(f)
			s.conn.Close()
			s = nil
			continue
		}
		k.sessions.Add(1)
	}
}

// sessionConn is one connection.
type sessionConn struct {
	conn   net.Conn
	lines  *bufio.Reader
	opened time.Time
	count  int
}

func (c *chaosSite) openSession() (*sessionConn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, chaosTimeout)
	defer cancel()
	conn, err := c.dial(ctx, "tcp", chatAddress)
	if err != nil {
		return nil, err
	}
	return &sessionConn{conn: conn, lines: bufio.NewReader(conn), opened: time.Now()}, nil
}

// say sends a line, and returns the process that has answered it.
func (s *sessionConn) say(id string) (pid int, kind load.Kind, err error) {
	_ = s.conn.SetDeadline(time.Now().Add(chaosTimeout)) // a dead connection shows in the write
	_, err = fmt.Fprintln(s.conn, id)
	var line string
	if err == nil {
		line, err = s.lines.ReadString('\n')
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, load.Timeout, err
	case line != "" && err != nil:
		return 0, load.Truncated, err
	case errors.Is(err, io.EOF):
		return 0, load.NoAnswer, err
	case err != nil:
		return 0, load.Reset, err
	}
	s.count++
	line = strings.TrimSpace(line)
	if field(line, "id") != id || field(line, "count") != strconv.Itoa(s.count) {
		return 0, load.Malformed, fmt.Errorf("line %d of the session is answered %q", s.count, line)
	}
	pid, err = strconv.Atoi(field(line, "pid"))
	return pid, load.Malformed, err
}

// whoAccepts returns the process that answers a new session.
func (c *chaosSite) whoAccepts() (pid int, err error) {
	s, err := c.openSession()
	if err != nil {
		return 0, err
	}
	defer s.conn.Close()
	pid, _, err = s.say(fmt.Sprintf("probe-%d", time.Now().UnixNano()))
	return pid, err
}
