package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// openingRate limits the connections that a class opens ahead each second.
const openingRate = 1000

// A class runs a Class: it starts requests when they are due.
type class struct {
	Class
	addr    string
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	tls     *tls.Config   // as it is used, nil for none
	wire    []byte        // one request of HTTP/1.1, as it is written, if it is not Numbered
	number  atomic.Int64  // of the last request, if they are Numbered
	sum     string        // of Body
	asked   *http.Request // what ReadResponse must know of it
	tally   *tally
	pool    *pool          // HTTP1
	streams *streams       // HTTP2
	placing sync.WaitGroup // requests that are being put on streams
	busy    sync.WaitGroup // requests that are being started, and readers of connections
}

// A request is one request of a class.
type request struct {
	due      time.Time // the intended start
	deadline time.Time
	slowly   time.Duration // the intended duration
	id       string        // empty unless the class is Numbered
	written  time.Time     // when its first byte was written; guarded as its connection
	settled  func()        // called with its result; may be nil
}

func (q *request) over() {
	if q.settled != nil {
		q.settled()
	}
}

func newClass(spec Class, c Config) *class {
	setDefault(&spec.Method, http.MethodPost)
	setDefault(&spec.Path, "/")
	setDefault(&spec.Status, http.StatusOK)
	setDefault(&spec.Timeout, DefaultTimeout)
	setDefault(&spec.MaxPending, DefaultMaxPending)
	setDefault(&spec.Pipeline, 1)
	setDefault(&spec.Addr, c.Addr)
	return &class{
		Class:   spec,
		addr:    spec.Addr,
		dial:    c.Dial,
		tls:     clientTLS(spec),
		wire:    wireFormat(spec, spec.Path),
		sum:     fmt.Sprintf("%08x", crc32.ChecksumIEEE(spec.Body)),
		asked:   &http.Request{Method: spec.Method},
		tally:   newTally(spec.Name, c.Failed, c.Settled),
		pool:    newPool(spec.Conns),
		streams: newStreams(spec.Conns),
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func wireFormat(spec Class, path string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", spec.Method, path, spec.Addr, len(spec.Body))
	if spec.Conns == 0 {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	b.Write(spec.Body)
	return []byte(b.String())
}

// run sends until sending ends or all requests are sent, and returns when each
// of them has its verdict and all connections are closed. The end of ctx closes
// them at once. It calls opened when connections are open that had to be ahead.
func (c *class) run(ctx, sending context.Context, began time.Time, opened func()) {
	release := context.AfterFunc(ctx, func() { c.pool.abort(); c.streams.abort() })
	defer release()
	if c.Ahead {
		c.openAll(ctx, sending)
		began = time.Now()
	}
	opened()
	steps := (c.Count + c.Pipeline - 1) / c.Pipeline
	c.schedule(sending, began, c.Rate/float64(c.Pipeline), steps, func(due time.Time) { c.start(ctx, due, c.Pipeline, nil) })
	c.pool.drain()
	c.placing.Wait() // or they would find their connections closed
	c.streams.drain()
	c.busy.Wait()
}

// openAll opens all connections, by a request for each, and waits for the answers.
func (c *class) openAll(ctx, sending context.Context) {
	var answers sync.WaitGroup
	c.schedule(sending, time.Now(), openingRate, max(1, c.Conns), func(due time.Time) {
		answers.Add(1)
		c.start(ctx, due, 1, answers.Done)
	})
	answers.Wait()
}

// schedule starts request n at began + n/rate. The schedule is absolute: a
// client that comes late catches up, and its lateness counts as latency.
func (c *class) schedule(sending context.Context, began time.Time, rate float64, count int, start func(due time.Time)) {
	if !(rate > 0) {
		return
	}
	gap := float64(time.Second) / rate
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; count == 0 || n < count; n++ {
		due := began.Add(time.Duration(float64(n) * gap))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-sending.Done():
			return
		}
		start(due)
	}
}

// start starts n requests that are due.
func (c *class) start(ctx context.Context, due time.Time, n int, settled func()) {
	var batch []*request
	for range n {
		q := &request{due: due, deadline: due.Add(c.Timeout), slowly: c.Slowly, settled: settled, id: c.nextID()}
		if c.tally.sent(due, c.MaxPending) {
			batch = append(batch, q)
		} else {
			c.tally.failed(q, &Failure{Kind: Saturated, Err: fmt.Errorf("%d requests wait for an answer", c.MaxPending)})
		}
	}
	if len(batch) == 0 {
		return
	}
	// What follows ends with the write, or as reader of a new connection; run waits.
	switch c.Protocol {
	case HTTP2:
		c.placing.Go(func() { c.sendStream(ctx, batch[0]) })
	case WebSocket:
		c.busy.Go(func() { c.talk(ctx, batch[0]) })
	default:
		// Taken here, in the order of the schedule and before the pool can drain.
		k := c.pool.take()
		c.busy.Go(func() { c.send(ctx, batch, k) })
	}
}

// send puts batch on k, and on the next connection if k turns out to be dead before
// a byte was written.
func (c *class) send(ctx context.Context, batch []*request, k *conn) {
	for ; k != nil; k = c.pool.take() {
		if k.write(batch) == nil {
			return // the reader of k gives the verdict
		}
	}
	c.sendOnNew(ctx, batch)
}

// sendOnNew dials, sends batch, and stays as the reader of the connection. Here a
// connection that is dead before the first byte is a failure: it was opened for
// this request, and the server has accepted it.
func (c *class) sendOnNew(ctx context.Context, batch []*request) {
	nc, f := c.connect(ctx, batch[0].deadline)
	if f != nil {
		c.pool.dialFailed()
		c.verdicts(ctx, batch, f)
		return
	}
	k := newConn(c, nc)
	defer c.pool.remove(k)
	c.pool.add(k)
	if err := k.write(batch); err != nil {
		k.settleAll(ctx, batch, &Failure{Kind: silentKind(err), Err: err})
		return
	}
	k.serve(ctx)
}

// nextID returns the id of the next request, empty if the class has none.
func (c *class) nextID() string {
	if !c.Numbered {
		return ""
	}
	return fmt.Sprintf("%s-%d", c.Name, c.number.Add(1))
}

// path returns the path of q.
func (c *class) path(q *request) string {
	switch {
	case q.id == "":
		return c.Path
	case strings.Contains(c.Path, "?"):
		return c.Path + "&id=" + q.id
	}
	return c.Path + "?id=" + q.id
}

// split returns the bytes of batch that are written at once, and those that are
// written slowly after them.
func (c *class) split(batch []*request) (now, later []byte) {
	all := bytes.Repeat(c.wire, len(batch))
	if c.Numbered {
		all = nil
		for _, q := range batch {
			all = append(all, wireFormat(c.Class, c.path(q))...)
		}
	}
	if c.Slowly > 0 && len(all) > pieceSize {
		return all[:pieceSize], all[pieceSize:]
	}
	return all, nil
}

func (c *class) verdicts(ctx context.Context, batch []*request, f *Failure) {
	for _, q := range batch {
		one := *f // each has its own times
		c.verdict(ctx, q, &one)
		f.spared = true
	}
}

// verdict enters the failure of q, unless its answer is no longer awaited.
func (c *class) verdict(ctx context.Context, q *request, f *Failure) {
	if ctx.Err() != nil {
		c.tally.abandoned(q)
		return
	}
	c.tally.failed(q, f)
}
