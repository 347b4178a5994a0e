package load

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// narrow is the receive buffer of a connection that is read slowly. With the usual
// one the kernel would take megabytes at once, and the server be done long before
// its client.
const narrow = 64 << 10

// clientTLS returns the configuration for the connections of spec, nil for none.
func clientTLS(spec Class) *tls.Config {
	if spec.TLS == nil {
		return nil
	}
	config := spec.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(spec.Addr) // the dial reports a bad address
	}
	if spec.Protocol == HTTP2 {
		config.NextProtos = []string{"h2"}
	}
	return config
}

// connect opens a connection of c.
func (c *class) connect(ctx context.Context, deadline time.Time) (net.Conn, *Failure) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	nc, err := c.dial(ctx, "tcp", c.addr)
	opened := time.Now()
	c.tally.dialed()
	if err != nil {
		return nil, &Failure{Kind: dialKind(err), Err: err}
	}
	if b, ok := nc.(interface{ SetReadBuffer(int) error }); ok && c.Slowly > 0 {
		_ = b.SetReadBuffer(narrow) // a dead connection shows in the first write
	}
	if c.tls == nil {
		return nc, nil
	}
	t := tls.Client(nc, c.tls)
	if err := c.handshake(ctx, t); err != nil {
		_ = nc.Close() // nothing was sent on it
		return nil, &Failure{Kind: handshakeKind(err), Local: nc.LocalAddr().String(), Opened: opened, Err: err}
	}
	return t, nil
}

func (c *class) handshake(ctx context.Context, t *tls.Conn) error {
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	state := t.ConnectionState()
	if state.DidResume {
		c.tally.count(&c.tally.stats.Resumed)
	}
	if c.Protocol == HTTP2 && state.NegotiatedProtocol != "h2" {
		return errors.New("the server does not speak HTTP/2")
	}
	return nil
}
