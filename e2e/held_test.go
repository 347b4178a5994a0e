package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// A held request is in work on the server for as long as its client has more to say.
type held struct {
	*client
	conn net.Conn
}

// hold begins a request on a connection of its own.
func (c *client) hold() *held {
	c.Helper()
	conn, err := c.dial(c.ctx, "tcp", c.address)
	c.must(err)
	c.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhe")
	c.must(err)
	c.get("/") // accepted after it
	return &held{c, conn}
}

// finish ends the request and checks that version has answered it.
func (h *held) finish(version string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { h.conn.Close() })()
	a, err := h.rest()
	if err != nil || a.version != version || a.rest != "bytes=4" {
		h.Errorf("the request in work on %s was answered %+v, %v", version, a, err)
	}
}

func (h *held) rest() (a answer, err error) {
	if _, err := io.WriteString(h.conn, "ld"); err != nil {
		return a, err
	}
	r, err := http.ReadResponse(bufio.NewReader(h.conn), nil)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return a, err
	}
	return parseAnswer(string(body))
}

// A keeper has a connection that it keeps, mostly without a request.
type keeper struct {
	*client
	conn net.Conn
	in   *bufio.Reader
}

// keep opens a connection, and asks once.
func (c *client) keep() *keeper {
	c.Helper()
	conn, err := c.dial(c.ctx, "tcp", c.address)
	c.must(err)
	c.Cleanup(func() { conn.Close() })
	k := &keeper{c, conn, bufio.NewReader(conn)}
	k.ask("/")
	return k
}

// ask returns what is answered, which must be 200 and leave the connection open.
func (k *keeper) ask(path string) string {
	k.Helper()
	k.must(k.conn.SetDeadline(time.Now().Add(patience)))
	_, err := fmt.Fprintf(k.conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
	k.must(err)
	r, err := http.ReadResponse(k.in, nil)
	k.must(err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	k.must(err)
	if r.StatusCode != http.StatusOK || r.Close {
		k.Errorf("%s on a kept connection: %s, closing %v", path, r.Status, r.Close)
	}
	return string(body)
}

// The two ends of what a held successor waits for, named pipes in the machine.
const (
	arrivedPipe  = "/run/held/arrived"
	releasedPipe = "/run/held/released"
)

// deployHeld deploys the program at path so that a successor says that it has been
// started, and initialises no further before it is released.
func (s *site) deployHeld(path string) {
	s.Helper()
	s.command("sh", "-c", "mkdir -p /run/held; cd /run/held; [ -p arrived ] || mkfifo -m 666 arrived released")
	s.must(s.machine.CopyFile(path, "/usr/local/bin/cutover-held"))
	s.deploy(script(s.TB, 0o755, `[ -z "$CUTOVER_LINE" ] || { echo >`+arrivedPipe+`; read _ <`+releasedPipe+`; }
exec /usr/local/bin/cutover-held "$@"`))
}

// awaitHeld returns when a successor is held.
func (s *site) awaitHeld() {
	s.Helper()
	s.command("cat", arrivedPipe)
}

// release lets the successor that is held go on.
func (s *site) release() {
	s.Helper()
	s.command("sh", "-c", "echo >"+releasedPipe)
}
