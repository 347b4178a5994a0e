package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A class runs a Class: it starts requests when they are due.
type class struct {
	Class
	addr  string
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	wire  []byte        // one request, as it is written
	asked *http.Request // what ReadResponse must know of it
	tally *tally
	pool  *pool
	busy  sync.WaitGroup // requests that are being started, and readers of connections
}

// A request is one request of a class.
type request struct {
	due      time.Time // the intended start
	deadline time.Time
}

func newClass(spec Class, c Config) *class {
	setDefault(&spec.Method, http.MethodPost)
	setDefault(&spec.Path, "/")
	setDefault(&spec.Status, http.StatusOK)
	setDefault(&spec.Timeout, DefaultTimeout)
	setDefault(&spec.MaxPending, DefaultMaxPending)
	return &class{
		Class: spec,
		addr:  c.Addr,
		dial:  c.Dial,
		wire:  wireFormat(spec, c.Addr),
		asked: &http.Request{Method: spec.Method},
		tally: newTally(spec.Name),
		pool:  newPool(spec.Conns),
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func wireFormat(spec Class, host string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", spec.Method, spec.Path, host, len(spec.Body))
	if spec.Conns == 0 {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	b.Write(spec.Body)
	return []byte(b.String())
}

// run sends until sending ends or all requests are sent, and returns when each
// of them has its verdict and all connections are closed. The end of ctx closes
// them at once.
func (c *class) run(ctx, sending context.Context, began time.Time) {
	release := context.AfterFunc(ctx, c.pool.abort)
	defer release()
	c.schedule(ctx, sending, began)
	c.pool.drain()
	c.busy.Wait()
}

// schedule starts request n at began + n/Rate. The schedule is absolute: a
// client that comes late catches up, and its lateness counts as latency.
func (c *class) schedule(ctx, sending context.Context, began time.Time) {
	if !(c.Rate > 0) {
		return
	}
	gap := float64(time.Second) / c.Rate
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; c.Count == 0 || n < c.Count; n++ {
		due := began.Add(time.Duration(float64(n) * gap))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-sending.Done():
			return
		}
		c.start(ctx, due)
	}
}

func (c *class) start(ctx context.Context, due time.Time) {
	q := &request{due: due, deadline: due.Add(c.Timeout)}
	if !c.tally.sent(due, c.MaxPending) {
		c.tally.failed(q, &Failure{Kind: Saturated, Err: fmt.Errorf("%d requests wait for an answer", c.MaxPending)})
		return
	}
	// Taken here, in the order of the schedule and before the pool can drain.
	k := c.pool.take()
	c.busy.Go(func() { c.send(ctx, q, k) }) // ends with the write, or as reader of a new connection; run waits
}

// send puts q on k, and on the next connection if k turns out to be dead before
// a byte was written.
func (c *class) send(ctx context.Context, q *request, k *conn) {
	for ; k != nil; k = c.pool.take() {
		if k.write(q) == nil {
			return // the reader of k gives the verdict
		}
	}
	c.sendOnNew(ctx, q)
}

// sendOnNew dials, sends q, and stays as the reader of the connection. Here a
// connection that is dead before the first byte is a failure: it was opened for
// this request, and the server has accepted it.
func (c *class) sendOnNew(ctx context.Context, q *request) {
	dialing, cancel := context.WithDeadline(ctx, q.deadline)
	nc, err := c.dial(dialing, "tcp", c.addr)
	cancel()
	c.tally.dialed()
	if err != nil {
		c.pool.dialFailed()
		c.verdict(ctx, q, &Failure{Kind: dialKind(err), Err: err})
		return
	}
	k := newConn(c, nc)
	defer c.pool.remove(k)
	c.pool.add(k)
	if err := k.write(q); err != nil {
		k.settle(ctx, q, answer{}, &Failure{Kind: silentKind(err), Err: err})
		return
	}
	k.serve(ctx)
}

// verdict enters the failure of q, unless nobody waits for its answer any more.
func (c *class) verdict(ctx context.Context, q *request, f *Failure) {
	if ctx.Err() != nil {
		c.tally.abandoned()
		return
	}
	c.tally.failed(q, f)
}
