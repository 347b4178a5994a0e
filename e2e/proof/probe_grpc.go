package proof

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// GRPC is a probe by calls of grpc.health.v1.Health/Check for the whole server, which must
// answer with status OK. NOT_SERVING is an answer, too, because a process that drains gives it.
// The URL is http://ADDRESS, or https://ADDRESS with TLS. The calls share kept connections, or
// have a new one. As in every gRPC client, a call that the server declares unprocessed goes to
// another connection.
func GRPC(rawURL string) Probe {
	p := Probe{protocol: "gRPC", kept: true, fresh: true}
	u, address, secure, err := target(rawURL, "http", "https")
	if err != nil {
		p.err = err
		return p
	}
	p.address = address
	u.Host, u.Path = address, "/grpc.health.v1.Health/Check"
	p.open = func(_ context.Context, dial Dial) (session, error) {
		return &callSession{url: u.String(), transport: transport(dial, secure)}, nil
	}
	return p
}

// transport speaks HTTP/2, with TLS if secure is not nil.
func transport(dial Dial, secure *tls.Config) *http.Transport {
	t := &http.Transport{TLSClientConfig: secure, Protocols: new(http.Protocols), MaxConnsPerHost: 1}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, dialError{err}
		}
		return c, nil
	}
	return t
}

// A callSession has a transport with one connection at a time.
type callSession struct {
	url       string
	transport *http.Transport
}

// emptyMessage is a gRPC message of length zero: the health of the whole server.
const emptyMessage = "\x00\x00\x00\x00\x00"

// ends are in the errors of net/http for a connection of HTTP/2 that has ended, which have no
// value. The last one ended before the first call on it.
var ends = []string{"GOAWAY", "connection lost", "client conn could not be established"}

func (s *callSession) ask(ctx context.Context) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(emptyMessage))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/grpc")
	q.Header.Set("TE", "trailers")
	r, err := s.transport.RoundTrip(q)
	if err != nil && slices.ContainsFunc(ends, func(text string) bool { return strings.Contains(err.Error(), text) }) {
		return fmt.Errorf("%w: %w", err, io.EOF)
	}
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return truncatedError{err}
	}
	status := r.Trailer.Get("Grpc-Status")
	if status == "" {
		status = r.Header.Get("Grpc-Status") // an answer without a body
	}
	switch {
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("status %s", r.Status)
	case status == "":
		return errors.New(string(record.Truncated) + ": no grpc-status")
	case status != "0":
		return fmt.Errorf("grpc-status %s: %s", status, r.Trailer.Get("Grpc-Message")+r.Header.Get("Grpc-Message"))
	case len(body) < len(emptyMessage):
		return fmt.Errorf("an answer without a message: % x", body)
	}
	return nil
}

func (*callSession) idle() bool { return true } // the transport dials again

func (s *callSession) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}
