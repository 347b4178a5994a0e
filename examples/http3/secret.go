package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/cutover-go/cutover/reexec"
)

// A secret is shared by all processes of the service, also after a crash, so that each
// understands the tokens that another one has given to a client: stateless resets of
// connections that died with their process, address tokens, session tickets.
type secret []byte

const secretLen = 32

// shareSecret returns a secret, which is another one when u.Ready has returned if
// there was a process before.
func shareSecret(u *reexec.Upgrader) (secret, error) {
	s := make(secret, secretLen)
	if _, err := rand.Read(s); err != nil {
		return nil, err
	}
	err := u.Save("secret", func() (reexec.State, error) { return reexec.State{Version: 1, Data: s}, nil })
	if err != nil {
		return nil, err
	}
	return s, u.Restore("secret", func(state reexec.State) error {
		if state.Version != 1 || len(state.Data) != secretLen {
			return fmt.Errorf("a secret of version %d and %d bytes", state.Version, len(state.Data))
		}
		copy(s, state.Data)
		return nil
	})
}

// key derives a key for one purpose.
func (s secret) key(purpose string) (key [32]byte, err error) {
	b, err := hkdf.Key(sha256.New, s, nil, "cutover http3 "+purpose, len(key))
	copy(key[:], b)
	return key, err
}

// equip gives a transport and its TLS the keys.
func (s secret) equip(t *quic.Transport, c *tls.Config) error {
	reset, err1 := s.key("stateless reset")
	token, err2 := s.key("address token")
	ticket, err3 := s.key("session ticket")
	t.StatelessResetKey = (*quic.StatelessResetKey)(&reset)
	t.TokenGeneratorKey = (*quic.TokenGeneratorKey)(&token)
	c.SetSessionTicketKeys([][32]byte{ticket})
	return errors.Join(err1, err2, err3)
}

// loadCertificate reads a certificate, or makes a self-signed one.
func loadCertificate(certFile, keyFile string) (tls.Certificate, error) {
	if certFile != "" {
		return tls.LoadX509KeyPair(certFile, keyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), DNSNames: []string{"localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
