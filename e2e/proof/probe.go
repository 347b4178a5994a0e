package proof

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

const (
	// DefaultRate is the Rate of a Probe that sets none.
	DefaultRate = 160
	// DefaultTimeout is the Timeout of a Probe that sets none.
	DefaultTimeout = 20 * time.Second
)

// keptConns is the number of connections that a probe keeps open between requests.
const keptConns = 8

// A Dial connects in the network of the daemon, as net.Dialer.DialContext does. An internet
// address must be a number.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// A Probe is a load on the daemon, and the definition of a lost request: a request that was
// due and got no complete and right answer within Timeout. It is an open loop: requests
// start at a constant rate, whether or not earlier ones were answered. No request is
// repeated.
//
// Most probes are two loads. One opens a connection for each request; the other keeps eight
// connections and uses the one that was idle for longest. If the daemon closes a kept
// connection between two requests, nothing is lost.
//
// Use one of the functions of this package to make a Probe.
type Probe struct {
	// Rate is the number of requests that start each second, on all connections. Zero means
	// DefaultRate.
	Rate float64

	// Timeout is the time from the intended start to the end of the answer. Zero means
	// DefaultTimeout, which is long enough for clients that wait for a restarted service.
	Timeout time.Duration

	protocol, address string
	class             *load.Class // of HTTP/1.1 and HTTP/2
	open              opener      // of the others
	kept, fresh       bool        // kept connections, and a new one for each request
	begins            string      // the begin of a request, if its connection then cannot move
	err               error
}

// An opener connects.
type opener func(ctx context.Context, dial Dial) (session, error)

// A session is one connection.
type session interface {
	// ask sends a request and reads the whole answer. It ends with ctx.
	ask(ctx context.Context) error
	// idle reports whether the connection can take another request: the other end has not
	// closed it.
	idle() bool
	Close() error
}

func (p Probe) check() error {
	switch {
	case p.err != nil:
		return p.err
	case p.class == nil && p.open == nil:
		return errors.New("Daemon.Probe is empty: proof.HTTP(\"http://127.0.0.1:8080/healthz\") is one")
	case p.Rate < 0 || p.Timeout < 0:
		return fmt.Errorf("the probe of %s has a negative Rate or Timeout", p.address)
	}
	return nil
}

// streams are the loads of the probe.
func (p Probe) streams() (all []stream) {
	defaults(&p.Rate, DefaultRate)
	defaults(&p.Timeout, DefaultTimeout)
	share := p.Rate
	if p.kept && p.fresh {
		share = p.Rate / 2
	}
	if p.kept {
		all = append(all, stream{p, p.protocol + ", kept connections", share, keptConns})
	}
	if p.fresh {
		all = append(all, stream{p, p.protocol + ", new connections", share, 0})
	}
	return all
}

// A stream is one load of a probe.
type stream struct {
	Probe
	name  string
	rate  float64
	conns int
}

// Func is a probe by a function: f makes one request with dial and checks the answer.
// It ends with ctx, which has the Timeout of the probe. The text of its error is in the
// report. A gRPC client takes dial by grpc.WithContextDialer.
func Func(name string, f func(ctx context.Context, dial Dial) error) Probe {
	return Probe{protocol: name, fresh: true, open: func(_ context.Context, dial Dial) (session, error) {
		return called{f, dial}, nil
	}}
}

type called struct {
	f    func(ctx context.Context, dial Dial) error
	dial Dial
}

func (c called) ask(ctx context.Context) error { return c.f(ctx, c.dial) }
func (called) idle() bool                      { return false }
func (called) Close() error                    { return nil }
