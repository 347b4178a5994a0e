package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestTLSSessionsAreResumed goes with one client through everything that ends a
// process: it never needs a full handshake again.
func TestTLSSessionsAreResumed(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if version == tls.VersionTLS12 && !thorough() {
			continue
		}
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := newSite(t)
			text, roots := certificate(t)
			s.must(s.machine.WriteFile("/etc/certificate.pem", text, 0o644))
			s.start(program(t, "./testdata/tls", "v1"), "-certificate", "/etc/certificate.pem")
			c := &resumer{s, &tls.Config{
				RootCAs: roots, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1),
				MinVersion: version, MaxVersion: version,
			}}
			c.visit("the start", false)
			c.visit("a first visit", true)
			c.killMain(1)
			c.visit("a kill of a first generation", true)
			for range 2 {
				s.must(s.machine.Reload(s.ctx, unitName))
				c.visit("an upgrade", true)
			}
			c.killMain(2)
			c.visit("a kill of an upgraded one", true)
			s.must(s.machine.Restart(s.ctx, unitName))
			c.visit("a restart", true)
			s.must(s.machine.Reload(s.ctx, unitName))
			s.must(s.machine.Restart(s.ctx, unitName))
			c.visit("an upgrade and a restart", true)
		})
	}
}

// TestTLSTicketOfADrainingPredecessorIsGood has a handshake left to do by the
// predecessor after it has handed its keys on.
func TestTLSTicketOfADrainingPredecessorIsGood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text, roots := certificate(t)
	s.must(s.machine.WriteFile("/etc/certificate.pem", text, 0o644))
	s.start(program(t, "./testdata/tls", "v1"), "-certificate", "/etc/certificate.pem")
	client := func() *resumer {
		return &resumer{s, &tls.Config{RootCAs: roots, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
	}
	late, other := client(), client()
	early := late.connect()
	other.visit("the start", false) // accepted after early
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := late.ask(early, "the upgrade, in the old process", false); a.generation != 1 {
		t.Errorf("%+v did the handshake, want the predecessor", a)
	}
	for _, c := range []*resumer{late, other} {
		if a := c.visit("the upgrade", true); a.generation != 2 {
			t.Errorf("%+v answers, want the successor", a)
		}
	}
}

// certificate makes a file with a certificate for example.com and its key.
func certificate(t testing.TB) (text []byte, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...), roots
}

// A resumer is a TLS client that keeps its last ticket.
type resumer struct {
	*site
	config *tls.Config
}

func (c *resumer) connect() net.Conn {
	c.Helper()
	conn, err := c.dial(c.ctx, "tcp", c.address)
	c.must(err)
	c.must(conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// visit asks once, on a connection of its own, and checks whether its session was
// resumed.
func (c *resumer) visit(after string, wantResumed bool) answer {
	c.Helper()
	return c.ask(c.connect(), after, wantResumed)
}

// ask is visit on conn, which it closes.
func (c *resumer) ask(conn net.Conn, after string, wantResumed bool) answer {
	c.Helper()
	secure := tls.Client(conn, c.config)
	defer secure.Close()
	_, err := fmt.Fprint(secure, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
	c.must(err)
	r, err := http.ReadResponse(bufio.NewReader(secure), nil)
	c.must(err)
	body, err := io.ReadAll(r.Body)
	c.must(err)
	if got := secure.ConnectionState().DidResume; got != wantResumed {
		c.Errorf("after %s: resumed %v, want %v", after, got, wantResumed)
	}
	a, err := parseAnswer(string(body))
	c.must(err)
	return a
}

// killMain kills the main process and waits until systemd has restarted it for the
// n-th time.
func (c *resumer) killMain(n int) {
	c.Helper()
	c.must(c.machine.Signal(c.mainPID(), syscall.SIGKILL))
	for c.show("NRestarts") != strconv.Itoa(n) || c.show("ActiveState") != "active" { // fails when the time is over
		c.wait()
	}
}
