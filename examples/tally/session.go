package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// maxLine is more than a number takes.
const maxLine = 64

// state is all that a session is, besides its connection.
type state struct {
	Peer string // tells the records of sessions apart
	Sum  int64
	Half string // of a line, that was read
}

// session is a connection with its state.
type session struct {
	u      *reexec.Upgrader
	conn   net.Conn
	lines  *bufio.Reader
	state  state
	record *record
}

// open begins a session, or goes on with one of an earlier process.
func open(u *reexec.Upgrader, c net.Conn) (*session, error) {
	s := &session{u: u, conn: c, state: state{Peer: c.RemoteAddr().String()}}
	if m, ok := c.(*reexec.Moved); ok {
		s.conn = m.Conn
		if err := json.Unmarshal(m.Data, &s.state); err != nil {
			return nil, err
		}
	}
	s.lines = bufio.NewReaderSize(s.conn, maxLine)
	var err error
	s.record, err = newRecord(u, s.conn, s.state)
	return s, err
}

// run serves the session until its client leaves, another process has it, or this
// one ends.
func (s *session) run(release func()) {
	defer release()
	defer s.u.OnDrain(func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })() // makes ReadSlice return, so that the session can move
	for {
		text, err := s.lines.ReadSlice('\n')
		s.state.Half += string(text)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.pass() {
				return
			}
		case errors.Is(err, bufio.ErrBufferFull), len(s.state.Half) > maxLine:
			fmt.Fprintln(s.conn, "that is no number") // it is closed next
			s.end()
			return
		case err != nil:
			s.end()
			return
		default:
			s.answer()
		}
	}
}

// pass gives the session to another process: the successor, or the next one that
// systemd starts. False means that neither is there; the session goes on here.
func (s *session) pass() bool {
	text, err := json.Marshal(s.state)
	if err == nil {
		err = s.u.Move(context.Background(), listener, s.conn, format, text)
	}
	if err == nil {
		return true
	}
	_ = s.conn.SetReadDeadline(time.Time{}) // fails if it is closed, which run sees
	if !s.u.Stopping() {
		return false
	}
	s.record.save(s.state) // the fd store has it, and the connection
	_ = s.conn.Close()
	return true
}

// answer adds the line. It saves the sum before it sends the answer, so that no crash
// takes an answer back.
func (s *session) answer() {
	n, err := strconv.ParseInt(strings.TrimSpace(s.state.Half), 10, 64)
	s.state.Half = ""
	if err != nil {
		fmt.Fprintln(s.conn, "that is no number") // a client that has left is seen by the next read
		return
	}
	s.state.Sum += n
	s.record.save(s.state)
	fmt.Fprintln(s.conn, s.state.Sum) // as above
}

// end closes a session that does not move.
func (s *session) end() {
	if err := errors.Join(s.record.forget(), s.conn.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// reclaim returns the sessions that a process has left which had no successor. A
// predecessor that lives moves its own.
func reclaim(u *reexec.Upgrader) (all []*session, err error) {
	if u.Generation() > 1 {
		return nil, nil
	}
	conns, err := u.Claim(connections)
	if err != nil {
		return nil, err
	}
	files, err := u.Claim(records)
	if err != nil {
		return nil, err
	}
	for _, k := range conns {
		c, err := net.FileConn(k.File)
		if err != nil {
			return nil, err
		}
		s := &session{u: u, conn: c, lines: bufio.NewReaderSize(c, maxLine), record: &record{conn: k}}
		if s.find(files) {
			all = append(all, s)
		} else {
			s.end()
		}
	}
	for _, f := range files {
		if f != nil {
			_ = f.Forget() // of a client that left meanwhile
		}
	}
	return all, nil
}

// find finds the record of the session among files, and takes it out.
func (s *session) find(files []*reexec.Kept) bool {
	for i, f := range files {
		if f == nil {
			continue
		}
		err := json.NewDecoder(io.NewSectionReader(f.File, 0, recordSize)).Decode(&s.state)
		if err == nil && s.state.Peer == s.conn.RemoteAddr().String() {
			s.record.file, files[i] = f, nil
			return true
		}
	}
	return false
}
