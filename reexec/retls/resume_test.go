//go:build linux

package retls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/retls"
)

// patience bounds whatever a test waits for: it says that something hangs.
const patience = 60 * time.Second

const unit = "tls.service"

// A house is the server, supervised as systemd would.
type house struct {
	testing.TB
	*upgradetest.Manager
	ctx     context.Context
	address string
	roots   *x509.CertPool
}

func newHouse(t *testing.T) *house {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	h := &house{TB: t, ctx: ctx}
	file, roots := certificate(t)
	h.roots = roots
	m, err := upgradetest.NewManager(upgradetest.Options{Env: []string{"CERTIFICATE=" + file, "GORACE=atexit_sleep_ms=0"}})
	h.must(err)
	h.Manager = m
	t.Cleanup(h.end)
	program, err := os.Executable()
	h.must(err)
	h.must(m.Install(ctx, "tls.socket", "[Socket]\nListenStream=127.0.0.1:0\nFileDescriptorName=tls\n"))
	h.must(m.Install(ctx, unit, fmt.Sprintf("[Service]\nType=notify\nExecStart=%[1]s serve\nExecReload=%[1]s reload\n"+
		"FileDescriptorStoreMax=64\nRestart=on-failure\nRestartSec=0\n", program)))
	h.must(m.Start(ctx, "tls.socket"))
	h.address, err = m.Show(ctx, "tls.socket", "Listen")
	h.must(err)
	_, err = fmt.Sscanf(h.address, "%s (Stream)", &h.address)
	h.must(err)
	h.must(m.Start(ctx, unit))
	return h
}

func (h *house) end() {
	if h.Failed() {
		text, err := h.Manager.Log(context.Background(), unit)
		h.Logf("journal (%v):\n%s", err, text)
	}
	if err := h.Close(); err != nil {
		h.Error(err)
	}
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// certificate writes a certificate for example.com with its key into a file.
func certificate(t testing.TB) (file string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	file = filepath.Join(t.TempDir(), "certificate.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return file, roots
}

// A client is one that keeps the last ticket it was given.
type client struct {
	*house
	config *tls.Config
}

func (h *house) client(version uint16) *client {
	return &client{h, &tls.Config{
		RootCAs: h.roots, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1),
		MinVersion: version, MaxVersion: version,
	}}
}

func (c *client) connect() net.Conn {
	c.Helper()
	var d net.Dialer
	conn, err := d.DialContext(c.ctx, "tcp", c.address)
	c.must(err)
	c.must(conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// visit connects, and returns who has answered.
func (c *client) visit(wantResumed bool) (generation, pid int) {
	c.Helper()
	return c.greet(c.connect(), wantResumed)
}

// greet does the handshake on conn, which it closes.
func (c *client) greet(conn net.Conn, wantResumed bool) (generation, pid int) {
	c.Helper()
	defer conn.Close()
	secure := tls.Client(conn, c.config)
	_, err := fmt.Fscanln(secure, &generation, &pid)
	c.must(err)
	if s := secure.ConnectionState(); s.DidResume != wantResumed {
		c.Errorf("%s with generation %d, process %d: resumed %v, want %v", tls.VersionName(s.Version), generation, pid, s.DidResume, wantResumed)
	}
	c.must(secure.CloseWrite())
	_, err = io.Copy(io.Discard, secure) // a last message, and then the server has let go
	c.must(err)
	return generation, pid
}

func (h *house) kill(pid, restarts int) {
	h.Helper()
	h.must(syscall.Kill(pid, syscall.SIGKILL))
	h.must(h.Wait(h.ctx, unit, func(p map[string]string) bool {
		return p["NRestarts"] == strconv.Itoa(restarts) && p["ActiveState"] == "active"
	}))
}

func eachVersion(t *testing.T, story func(t *testing.T, h *house, c *client)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			story(t, h, h.client(version))
		})
	}
}

func TestSessionsAreResumedAfterUpgradesRestartsAndCrashes(t *testing.T) {
	eachVersion(t, func(t *testing.T, h *house, c *client) {
		_, pid := c.visit(false)
		c.visit(true)
		h.kill(pid, 1) // the first process, which nothing but a ticket made keep its keys
		c.visit(true)
		for i := range 3 {
			h.must(h.Reload(h.ctx, unit))
			if generation, _ := c.visit(true); generation != i+2 {
				t.Errorf("generation %d answers, want %d", generation, i+2)
			}
		}
		h.must(h.Restart(h.ctx, unit))
		generation, before := c.visit(true)
		h.must(h.Reload(h.ctx, unit))
		if _, pid = c.visit(true); generation != 1 || pid == before {
			t.Errorf("generation %d, process %d and then process %d answer", generation, before, pid)
		}
		h.kill(pid, 1)
		c.visit(true)
	})
}

// The draining predecessor completes a handshake after it has handed its keys over.
func TestATicketOfAPredecessorThatDrainsIsAccepted(t *testing.T) {
	eachVersion(t, func(t *testing.T, h *house, c *client) {
		early := c.connect()
		other := h.client(c.config.MaxVersion)
		other.visit(false) // accepted after it
		h.must(h.Reload(h.ctx, unit))
		if generation, _ := c.greet(early, false); generation != 1 {
			t.Fatalf("generation %d does the handshake, want the predecessor", generation)
		}
		for _, one := range []*client{c, other} {
			if generation, _ := one.visit(true); generation != 2 {
				t.Errorf("generation %d answers, want the successor", generation)
			}
		}
	})
}

func TestTicketsRefusesAUsedNameOrConfig(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if err := retls.Tickets(u, "a", new(tls.Config)); err != nil {
		t.Fatal(err)
	}
	cfg := new(tls.Config)
	if err := retls.Tickets(u, "a", cfg); err == nil || cfg.WrapSession != nil {
		t.Error("two Configs have keys of one name")
	}
	cfg.UnwrapSession = cfg.DecryptTicket
	if err := retls.Tickets(u, "b", cfg); err == nil || cfg.WrapSession != nil {
		t.Error("UnwrapSession of a Config was overwritten")
	}
	if err := retls.Tickets(u, "a:b", new(tls.Config)); err == nil {
		t.Error("a name with a colon was taken")
	}
}
