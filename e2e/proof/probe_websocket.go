package proof

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/cutover-go/cutover/e2e/internal/ws"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// WebSocket is a probe by sessions: the client sends message as text and waits for a message.
// A kept session that the server closes between two messages, with a close frame or without
// one, is opened again and is not lost.
func WebSocket(rawURL, message string) Probe {
	p := Probe{protocol: "WebSocket", kept: true, fresh: true}
	u, address, secure, err := target(rawURL, "ws", "wss")
	if err != nil {
		p.err = err
		return p
	}
	p.address = address
	if secure == nil {
		p.begins = beginOf(u)
	}
	p.open = func(ctx context.Context, dial Dial) (session, error) {
		raw, err := dial(ctx, "tcp", address)
		if err != nil {
			return nil, dialError{err}
		}
		s := &socketSession{connSession: &connSession{raw}, raw: raw, message: message}
		if secure != nil {
			s.connSession = &connSession{tls.Client(raw, secure)}
		}
		s.br = bufio.NewReader(s)
		if err := s.handshake(ctx, u); err != nil {
			_ = s.Close() // nothing was sent on it
			return nil, err
		}
		return s, nil
	}
	return p
}

// A socketSession is a WebSocket.
type socketSession struct {
	*connSession
	raw     net.Conn // below TLS
	br      *bufio.Reader
	message string
}

func (s *socketSession) handshake(ctx context.Context, u *url.URL) error {
	defer s.bound(ctx)()
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	_, err := fmt.Fprintf(s, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Origin: http://%[2]s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %[3]s\r\n\r\n", u.RequestURI(), u.Host, key)
	if err != nil {
		return err
	}
	if _, err := s.br.Peek(1); err != nil {
		return err // not one byte of an answer
	}
	r, err := http.ReadResponse(s.br, nil)
	if err != nil {
		return truncatedError{err}
	}
	if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != ws.Accept(key) {
		return fmt.Errorf("status %s instead of a WebSocket", r.Status)
	}
	return nil
}

func (s *socketSession) ask(ctx context.Context) error {
	defer s.bound(ctx)()
	if err := ws.Write(s, ws.Text, []byte(s.message), true); err != nil {
		return err
	}
	for {
		op, text, err := ws.Read(s.br)
		switch {
		case err != nil:
			return err
		case op == ws.Close:
			return fmt.Errorf("%s by a close frame instead of a message: %x: %w", record.EOF, text, io.EOF)
		case op < ws.Close: // the others are control frames
			return nil
		}
	}
}

// idle is false also if the server has sent something, which may be a close frame.
func (s *socketSession) idle() bool { return s.br.Buffered() == 0 && quiet(s.raw) }
