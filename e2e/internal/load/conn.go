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

// errGone is why a request was not put on a connection.
var errGone = errors.New("the server closed the connection while it was idle")

// A conn is one connection. Its reader (serve) always waits for something to
// read, so that it notices the server's close also between two requests.
type conn struct {
	class *class
	nc    net.Conn
	br    *bufio.Reader // the reader's, as all up to mu
	end   error         // what ended reading, nil until then
	hung  atomic.Bool   // the client closed it; anybody's

	// mu orders a close that the reader notices and a write: it is held over the
	// write, so either the close was noticed before the first byte and nothing is
	// written, or the request is on the connection and shares its fate.
	mu   sync.Mutex
	req  *request // nil while idle
	uses int      // requests answered on it
	gone bool     // found dead while idle
}

func newConn(c *class, nc net.Conn) *conn {
	k := &conn{class: c, nc: nc}
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

// write puts q on the connection. An error means that not one byte was written
// and that q may go elsewhere; else the reader gives the verdict.
func (k *conn) write(q *request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone {
		return errGone
	}
	k.req = q
	_ = k.nc.SetDeadline(q.deadline) // fails on a dead connection, as the write then does
	n, err := k.nc.Write(k.class.wire)
	if n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // a partial write ends for the reader as well, at the deadline at the latest
	}
	k.req = nil
	k.foundGone(err)
	k.hangUp()
	return err
}

// serve reads answers until the connection ends or is not to be kept.
func (k *conn) serve(ctx context.Context) {
	for {
		_, err := k.br.Peek(1)
		q := k.waiting(err)
		switch {
		case q == nil:
			return
		case err != nil:
			k.settle(ctx, q, answer{}, &Failure{Kind: silentKind(err), Err: err})
			return
		case !k.answer(ctx, q):
			return
		}
	}
}

// waiting returns the request that waits for what the reader has just seen. None
// means that the connection is at its end.
func (k *conn) waiting(err error) *request {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.req == nil {
		k.foundGone(err)
	}
	return k.req
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

// answer reads the answer to q, enters the verdict, and reports whether the
// connection was kept.
func (k *conn) answer(ctx context.Context, q *request) bool {
	a, f := k.class.readAnswer(k.br)
	if f != nil && !a.complete && k.end != nil {
		f.Kind = cutKind(k.end) // whatever the parser makes of the part that came
	}
	k.settle(ctx, q, a, f)
	if !a.complete || a.closes {
		return false
	}
	k.rest()
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
	f.Local = k.nc.LocalAddr().String()
	f.Reused = k.used()
	k.class.verdict(ctx, q, f)
}

func (k *conn) used() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.uses > 0
}

// rest makes the connection one without a request.
func (k *conn) rest() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.req = nil
	k.uses++
	_ = k.nc.SetDeadline(time.Time{}) // fails on a dead connection, as the next read then does
}
