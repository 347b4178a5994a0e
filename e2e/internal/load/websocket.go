package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/ws"
)

// messageGap is the time between two messages of a WebSocket.
const messageGap = 100 * time.Millisecond

// talk is one session: an upgrade, a message each messageGap for as long as
// Class.Slowly says, each of which must come back, and a close that is answered.
func (c *class) talk(ctx context.Context, q *request) {
	nc, f := c.connect(ctx, q.deadline)
	if f != nil {
		c.verdict(ctx, q, f)
		return
	}
	opened := time.Now()
	q.written = opened
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	_ = nc.SetDeadline(q.deadline) // a dead connection shows in the first write
	if f := c.converse(nc, q); f != nil {
		f.Local, f.Opened = nc.LocalAddr().String(), opened
		c.verdict(ctx, q, f)
		return
	}
	c.tally.answered(q, answer{})
}

func (c *class) converse(nc net.Conn, q *request) *Failure {
	br := bufio.NewReader(nc)
	if f := c.upgrade(nc, br, c.path(q)); f != nil {
		return f
	}
	for n := 0; ; n++ {
		at := time.Duration(n) * messageGap
		time.Sleep(min(messageGap, time.Until(q.due.Add(at))))
		if at >= q.slowly {
			return exchange(nc, br, ws.Close, []byte{1000 >> 8, 1000 & 0xff})
		}
		if f := exchange(nc, br, ws.Text, fmt.Appendf(nil, "%s %d", c.Body, n)); f != nil {
			return f
		}
	}
}

// upgrade makes nc a WebSocket of path.
func (c *class) upgrade(nc net.Conn, br *bufio.Reader, path string) *Failure {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	_, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", path, c.addr, key)
	if err == nil {
		_, err = br.Peek(1)
	}
	if err != nil {
		return &Failure{Kind: silentKind(err), Err: err}
	}
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		return &Failure{Kind: cutKind(err), Err: err}
	}
	if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != ws.Accept(key) {
		return &Failure{Kind: BadStatus, Err: fmt.Errorf("status %s, accepting %q", r.Status, r.Header.Get("Sec-WebSocket-Accept"))}
	}
	return nil
}

// exchange sends a frame, which must come back as it is.
func exchange(w io.Writer, br *bufio.Reader, op ws.Opcode, message []byte) *Failure {
	if err := ws.Write(w, op, message, true); err != nil {
		return &Failure{Kind: cutKind(err), Err: err}
	}
	gotOp, got, err := ws.Read(br)
	if err != nil {
		return &Failure{Kind: cutKind(err), Err: fmt.Errorf("no echo: %w", err)}
	}
	if gotOp == ws.Close && op != ws.Close {
		return &Failure{Kind: Truncated, Err: fmt.Errorf("the server says goodbye: %x", got)}
	}
	if gotOp != op || !bytes.Equal(got, message) {
		return &Failure{Kind: Malformed, Err: fmt.Errorf("frame %d %q came back as %d %q", op, message, gotOp, got)}
	}
	return nil
}
