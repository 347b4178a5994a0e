//go:build linux

package rehttp3

import (
	"crypto/tls"
	"io"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/cutover-go/cutover/reexec"
)

// A stack that reads in batches gets its datagrams through the gate. Its connections end with
// an upgrade, so this package uses ListenFlows.
func TestQUICRunsOnListenPacket(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	conn, err := u.ListenPacket(t.Context(), "quic", "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	const protocol = "echo"
	server := &quic.Transport{Conn: conn}
	defer server.Close()
	ln, err := server.Listen(&tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{protocol}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the connection
		c, err := ln.Accept(t.Context())
		if err != nil {
			return
		}
		s, err := c.AcceptStream(t.Context())
		if err != nil {
			return
		}
		_, _ = io.Copy(s, s) // the client sees what comes back
		_ = s.Close()
	}()
	c, err := quic.DialAddr(t.Context(), conn.LocalAddr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseWithError(0, "")
	s, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(s); string(text) != "hello" || err != nil {
		t.Errorf("echo %q, %v", text, err)
	}
}
