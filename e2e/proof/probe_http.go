package proof

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// HTTP is a probe by GET requests of HTTP/1.1, each of which must be answered with status
// 200. With https the certificate is not verified.
func HTTP(rawURL string) Probe { return httpProbe("HTTP/1.1", load.HTTP1, rawURL) }

// HTTP2 is HTTP with HTTP/2: with https as negotiated by TLS, with http without TLS, which
// needs http.Protocols.SetUnencryptedHTTP2 in the server.
func HTTP2(rawURL string) Probe { return httpProbe("HTTP/2", load.HTTP2, rawURL) }

func httpProbe(name string, protocol load.Protocol, rawURL string) Probe {
	p := Probe{protocol: name, kept: true, fresh: protocol == load.HTTP1}
	u, host, secure, err := target(rawURL, "http", "https")
	if err != nil {
		p.err = err
		return p
	}
	p.address = host
	if secure == nil {
		p.begins = beginOf(u)
	}
	p.class = &load.Class{Addr: host, Protocol: protocol, Method: http.MethodGet, Path: u.RequestURI(), AnyText: true, TLS: secure}
	return p
}

// beginOf returns the begin of a request of HTTP/1.1.
func beginOf(u *url.URL) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n", u.RequestURI(), u.Host)
}

// target reads a URL with one of two schemes. secure is nil for the first.
func target(rawURL, plain, encrypted string) (u *url.URL, address string, secure *tls.Config, err error) {
	u, err = url.Parse(rawURL)
	if err != nil {
		return nil, "", nil, err
	}
	port := u.Port()
	switch u.Scheme {
	case plain:
		port = cmp.Or(port, "80")
	case encrypted:
		port = cmp.Or(port, "443")
		// The certificate of a test machine belongs to no authority.
		secure = &tls.Config{InsecureSkipVerify: true, ServerName: u.Hostname()}
	default:
		return nil, "", nil, fmt.Errorf("the URL %s of a probe has to begin with %s:// or %s://", rawURL, plain, encrypted)
	}
	return u, numeric(net.JoinHostPort(u.Hostname(), port)), secure, nil
}

// numeric returns an address without a name: there is no resolver on the machine.
func numeric(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address // of a unix socket
	}
	switch host {
	case "", "localhost", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
