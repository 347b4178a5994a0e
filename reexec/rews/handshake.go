package rews

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
)

// This file has the ResponseWriters of a handshake, and the answer that a library writes to
// the hijacked connection.

// writer is the ResponseWriter of a new connection.
type writer struct {
	http.ResponseWriter
	s        *session
	answered bool // the answer 101 was given to WriteHeader
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() } // http.Flusher returns no error

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		w.answered = true
		w.s.agreed = agreementOf(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Hijack implements http.Hijacker.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c := newConn(nc, w.s)
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // they are there
	c.early = bytes.Clone(early)
	if w.answered {
		c.follow(w.s.agreed)
	} else {
		c.reply = &reply{}
	}
	w.s.hijack(c)
	return c, readWriter(c, len(early)), nil
}

// readWriter returns the buffers of Hijack. The reader has the n bytes that net/http has read.
func readWriter(c *conn, n int) *bufio.ReadWriter {
	br := bufio.NewReaderSize(c, max(n, 4096))
	_, _ = br.Peek(n) // c has them
	return bufio.NewReadWriter(br, bufio.NewWriter(c))
}

// resumedWriter is the ResponseWriter of a connection that has moved. The client has had the
// answer to its handshake.
type resumedWriter struct {
	s        *session
	header   http.Header
	status   int
	hijacked bool
}

// Header implements http.ResponseWriter.
func (w *resumedWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *resumedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter. It drops the body of an answer that refuses.
func (w *resumedWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

// Hijack implements http.Hijacker.
func (w *resumedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	c := w.s.c
	if w.status == 0 {
		c.reply = &reply{swallow: true}
	} else if err := w.s.agree(w.status, w.header); err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	w.s.srv.at(stepTaken)
	return c, readWriter(c, 0), nil
}

// returns tells the client to come again if the handler has not taken the connection. It logs
// a panic of the handler, as net/http does.
func (w *resumedWriter) returns() {
	if v := recover(); v != nil && v != any(http.ErrAbortHandler) {
		w.s.srv.logf("rews: the handler of %v panicked: %v\n%s", w.s.c.RemoteAddr(), v, debug.Stack())
	}
	if w.hijacked || !w.s.mayClose(w.s.c) {
		return
	}
	w.s.srv.logf("rews: the handler does not take the moved connection of %v: it answers %d", w.s.c.RemoteAddr(), w.status)
	_ = w.s.c.bidFarewell() // the client may have gone
}

// agree compares the answer to the handshake of a moved connection with the first answer.
func (s *session) agree(status int, h http.Header) error {
	now := agreementOf(h)
	if status == http.StatusSwitchingProtocols && (!isWebSocket(s.request.Header) || now.equals(s.agreed)) {
		return nil
	}
	return fmt.Errorf("rews: the handler answers the moved connection of %v with status %d, %v; the client was promised %v",
		s.c.RemoteAddr(), status, now, s.agreed)
}

// reply is the answer to a handshake that a library writes to the connection. It goes to the
// client of a new connection only.
type reply struct {
	head    []byte
	swallow bool
}

var (
	headEnd  = []byte("\r\n\r\n")
	errReply = errors.New("rews: the answer to the handshake is longer than 64 KiB")
)

const maxReply = 64 << 10

// take returns the number of bytes of p that belong to the answer.
func (r *reply) take(c *conn, p []byte) (int, error) {
	known := len(r.head)
	if known+len(p) > maxReply && !bytes.Contains(p, headEnd) {
		return 0, errReply
	}
	r.head = append(r.head, p...)
	n, end := len(p), bytes.Index(r.head, headEnd)
	if end >= 0 {
		n = end + len(headEnd) - known
	}
	if !r.swallow {
		if k, err := c.Conn.Write(p[:n]); err != nil {
			return k, err
		}
	}
	if end < 0 {
		return n, nil
	}
	c.reply = nil
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(r.head[:end+len(headEnd)])), nil)
	switch {
	case err != nil:
		c.stays.Store(true)
	case r.swallow:
		err := c.s.agree(answer.StatusCode, answer.Header)
		if err != nil {
			c.s.srv.logf("%v", err)
			c.s.breaks(c)
		}
		return n, err
	default:
		if answer.StatusCode != http.StatusSwitchingProtocols {
			c.stays.Store(true)
		}
		c.s.agreed = agreementOf(answer.Header)
		c.follow(c.s.agreed)
	}
	return n, nil
}
