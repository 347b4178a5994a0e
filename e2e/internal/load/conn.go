package load

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// errGone is why a request was not put on a connection.
	errGone = errors.New("the server closed the connection while it was idle")
	// errUnserved is why a pipelined request gets no answer.
	errUnserved = errors.New("the answer to an earlier request ends the connection")
)

// A conn is one connection. Its reader (serve) always waits for something to
// read, so that it notices the server's close also between two requests.
type conn struct {
	class  *class
	nc     net.Conn
	opened time.Time
	br     *bufio.Reader // the reader's, as all up to mu
	end    error         // what ended reading, nil until then
	hung   atomic.Bool   // the client closed it; anybody's
	part   atomic.Bool   // a body is being written slowly

	// mu orders a close that the reader notices and a write: it is held over the
	// write, so either the close was noticed before the first byte and nothing is
	// written, or the request is on the connection and shares its fate.
	mu   sync.Mutex
	reqs []*request // that wait for an answer, in their order; none while idle
	uses int        // requests answered on it
	gone bool       // found dead while idle
}

func newConn(c *class, nc net.Conn) *conn {
	k := &conn{class: c, nc: nc, opened: time.Now()}
	k.br = bufio.NewReader(k)
	return k
}

// Read is that of the connection. It remembers the end of it, which an error of
// ReadResponse hides.
func (k *conn) Read(p []byte) (int, error) {
	n, err := k.nc.Read(p)
	if err != nil {
		k.end = err
	}
	return n, err
}

// hangUp closes the connection. A second call does nothing.
func (k *conn) hangUp() {
	if !k.hung.Swap(true) {
		_ = k.nc.Close() // nothing is buffered that could still be lost
	}
}

// write puts batch on the connection. An error means that not one byte was written
// and that batch may go elsewhere; else the reader gives the verdicts.
func (k *conn) write(batch []*request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone {
		return errGone
	}
	k.reqs = batch
	for _, q := range batch {
		q.written = time.Now()
	}
	_ = k.nc.SetDeadline(batch[0].deadline) // fails on a dead connection, as the write then does
	now, later := k.class.split(batch)
	k.part.Store(len(later) > 0)
	n, err := k.nc.Write(now)
	switch {
	case err == nil && len(later) > 0:
		k.class.busy.Go(func() { k.finish(batch[0], later) }) // ends with the deadline or the connection; run waits
		return nil
	case n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return nil // a partial write ends for the reader as well, at the deadline at the latest
	}
	k.reqs = nil
	k.foundGone(err)
	k.hangUp()
	return err
}

// finish writes the rest of a request slowly. Where that fails, the reader sees why.
func (k *conn) finish(q *request, rest []byte) {
	_ = writeSlowly(k.nc, rest, q.due, q.slowly, func() { k.part.Store(false) })
}

// serve reads answers until the connection ends or is not to be kept.
func (k *conn) serve(ctx context.Context) {
	for {
		_, err := k.br.Peek(1)
		batch := k.waiting(err)
		switch {
		case len(batch) == 0:
			return
		case err != nil:
			k.settleAll(ctx, batch, &Failure{Kind: silentKind(err), Err: err})
			return
		case !k.answer(ctx, batch):
			return
		}
	}
}

// waiting returns the requests that wait for an answer. None means that the connection
// is at its end.
func (k *conn) waiting(err error) []*request {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.reqs) == 0 {
		k.foundGone(err)
	}
	return k.reqs
}

// foundGone enters the end of a connection on which no request was, which is no
// failure. The caller holds mu.
func (k *conn) foundGone(err error) {
	if k.gone {
		return
	}
	k.gone = true
	if k.uses > 0 && !k.hung.Load() { // one that never answered was never idle
		k.class.tally.endedIdle(err)
	}
}

// answer reads the answer to the first of batch, enters the verdict, and reports
// whether there is more to read on the connection.
func (k *conn) answer(ctx context.Context, batch []*request) bool {
	q, others := batch[0], batch[1:]
	a, f := k.class.readAnswer(k.br, q)
	if f != nil && !a.complete && k.end != nil {
		f.Kind = cutKind(k.end) // whatever the parser makes of the part that came
	}
	k.settle(ctx, q, a, f)
	switch {
	case !a.complete:
		f.spared = true
		k.settleAll(ctx, others, f)
		return false
	case a.closes || k.part.Load(): // the server does not want the rest of the body
		k.settleAll(ctx, others, &Failure{Kind: Unserved, Err: errUnserved})
		if k.class.Conns > 0 {
			k.class.tally.count(&k.class.tally.stats.ClosedLast)
		}
		return false
	}
	k.rest(others)
	if len(others) > 0 {
		return true
	}
	if k.br.Buffered() > 0 {
		k.class.tally.endedIdle(nil)
		return false
	}
	return k.class.pool.put(k)
}

// settle enters the verdict on q.
func (k *conn) settle(ctx context.Context, q *request, a answer, f *Failure) {
	if f == nil {
		k.class.tally.answered(q, a)
		return
	}
	k.settleAll(ctx, []*request{q}, f)
}

// settleAll enters f as the verdict on each of batch.
func (k *conn) settleAll(ctx context.Context, batch []*request, f *Failure) {
	f.Local, f.Opened = k.nc.LocalAddr().String(), k.opened
	f.Reused = k.used()
	k.class.verdicts(ctx, batch, f)
}

func (k *conn) used() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.uses > 0
}

// rest notes that a request was answered and that others wait, if any.
func (k *conn) rest(others []*request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reqs = others
	k.uses++
	if len(others) == 0 {
		_ = k.nc.SetDeadline(time.Time{}) // fails on a dead connection, as the next read then does
	}
}
