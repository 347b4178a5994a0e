//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/cutover-go/cutover/e2e/proof"
)

var (
	full    = flag.Bool("full", false, "tell the stories of package proof to the example")
	systemd = flag.Int("systemd", 0, "major `version` of the systemd of the stories, of a tree that e2e/roots has built")
)

// Package proof has no QUIC client, so the probe is a function.
func TestExamplePassesTheStories(t *testing.T) {
	if !*full {
		t.Skip("-full tells the stories")
	}
	probe := proof.Func("HTTP/3", ask)
	probe.Rate = 20 // each request is a TLS handshake
	proof.Run(t, proof.Daemon{Build: ".", Units: "units", Probe: probe, Systemd: *systemd})
}

// ask makes a request on a new connection.
func ask(ctx context.Context, dial proof.Dial) error {
	c, err := dial(ctx, "udp", "127.0.0.1:8443")
	if err != nil {
		return err
	}
	defer c.Close()
	client := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the example's own certificate
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: 20 * time.Second},
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.Dial(ctx, packets{c}, c.RemoteAddr(), t, q)
		},
	}
	defer client.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:8443/", nil)
	if err != nil {
		return err
	}
	resp, err := client.RoundTrip(req)
	if reset := (*quic.StatelessResetError)(nil); errors.As(err, &reset) {
		return fmt.Errorf("%w: %w", io.EOF, err) // the process has ended
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s, %q: %w", resp.Status, text, err)
	}
	return nil
}

// packets is a connected UDP socket for package quic.
type packets struct{ net.Conn }

func (p packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.RemoteAddr(), err
}

func (p packets) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }
