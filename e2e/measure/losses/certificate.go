package losses

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"
)

// certificate makes a certificate for a numeric address and its key, as PEM, and the
// configuration of a client that trusts it.
func certificate(host string) (cert, key []byte, trust *tls.Config, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	keyDER, kerr := x509.MarshalECPrivateKey(private)
	if err := errors.Join(err, kerr); err != nil {
		return nil, nil, nil, err
	}
	var certPEM, keyPEM bytes.Buffer
	if err := errors.Join(pem.Encode(&certPEM, &pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.Encode(&keyPEM, &pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})); err != nil {
		return nil, nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM.Bytes())
	return certPEM.Bytes(), keyPEM.Bytes(), &tls.Config{RootCAs: roots, ServerName: host}, nil
}
