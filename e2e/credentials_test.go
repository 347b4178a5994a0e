package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// A server without a user of the system serves with a key that only root can read. A renewed key
// is served after a reload (systemd 260) or a restart, and one that does not fit its certificate is
// refused.
func TestARenewedKeyIsServed(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full, and by .ci/matrix")
	}
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		d := daemon(root.Version)
		d.Sockets[0].Name, d.Hardening = "https", units.Strict
		d.Credentials = []string{"tls.key:/etc/cutover/tls.key", "tls.crt:/etc/cutover/tls.crt"}
		files, err := d.Units()
		s.must(err)
		s.put(files)
		s.deploy(program(t, "../examples/tls", "v1"))
		trust := x509.NewCertPool()
		first, second := newPair(t, trust, 1), newPair(t, trust, 2)
		s.renew(first)
		s.must(s.machine.Start(s.ctx, unitName))
		secure := sparseTLS
		secure.TLS = &tls.Config{RootCAs: trust, ServerName: "example.com"}
		run := s.load(secure, load.Class{Name: "tls-new", Rate: 5, TLS: &tls.Config{RootCAs: trust, ServerName: "example.com"}, Timeout: patience})
		s.servesKey(trust, 1, 1)

		s.renew(second)
		s.must(s.machine.Reload(s.ctx, unitName))
		if root.Version >= 260 {
			s.servesKey(trust, 2, 2)
		} else {
			s.servesKey(trust, 1, 2)
			s.must(s.machine.Restart(s.ctx, unitName))
			s.servesKey(trust, 2, 1)
		}
		if root.Version >= 260 {
			s.renew(pair{second.certificate, first.key})
			if err := s.machine.Reload(s.ctx, unitName); err == nil || !strings.Contains(s.show("StatusText"), "private key does not match public key") {
				t.Errorf("reload with a key of another certificate: %v, %s", err, s.show("StatusText"))
			}
			s.servesKey(trust, 2, 2)
		}
		s.nothingLost(run)
	})
}

// A pair is a certificate and its key, as PEM.
type pair struct{ certificate, key []byte }

// newPair makes a pair whose certificate trust gets.
func newPair(t testing.TB, trust *x509.CertPool, serial int64) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust.AddCert(certificate)
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})}
}

// renew installs a pair that only root can read.
func (s *site) renew(p pair) {
	s.Helper()
	s.must(s.machine.WriteFile("/etc/cutover/tls.crt", p.certificate, 0o600))
	s.must(s.machine.WriteFile("/etc/cutover/tls.key", p.key, 0o600))
}

// servesKey compares the certificate of a new connection, and the generation that answers.
func (s *site) servesKey(trust *x509.CertPool, serial int64, generation int) {
	s.Helper()
	c := &resumer{s, &tls.Config{RootCAs: trust, ServerName: "example.com"}}
	if a := c.visit("a renewal", false); a.generation != generation || a.rest != fmt.Sprint("serial=", serial) {
		s.Errorf("%+v answers, want generation %d with key %d", a, generation, serial)
	}
}
