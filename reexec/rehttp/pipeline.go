package rehttp

import (
	"bytes"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// This file finds out whether a client has sent more than the request that is answered.
// Then the answer does not say close: nobody would read the rest.

// hasMore reports whether a part of another HTTP/1 request is here, as far as that can be
// known.
func (k *client) hasMore(r *http.Request) bool {
	if k.own != nil && k.own.plain.Load() {
		return k.own.hasMore()
	}
	return k.buffered.more(k.conn, max(0, r.ContentLength))
}

// hasMore is exact: while this generation drains net/http gets no byte behind the end of
// a request, except where the length of a body is unknown.
func (c *conn) hasMore() bool {
	if c.over.Load() {
		return true
	}
	n, err := fd.Unread(c.socket)
	return err == nil && int64(n) > max(0, c.rest.Load())
}

// expect takes the length of the body of a request that framing does not understand, or -1.
func (c *conn) expect(length int64) {
	behind := c.behind.Swap(-1)
	switch {
	case behind < 0:
		c.over.Store(true)
		c.rest.Store(length)
	case length < 0:
		c.over.Store(behind > 0)
		c.rest.Store(-1)
	default:
		c.over.Store(behind > length)
		c.rest.Store(max(0, length-behind))
	}
}

// headerEnd returns the number of bytes of p up to the end of the header that p is a part
// of. It is too small where p begins with a line end, and never too large.
func headerEnd(p []byte) int {
	for n := 0; ; {
		line := p[n:]
		if bytes.HasPrefix(line, crlf) {
			return n + len(crlf)
		}
		i := bytes.IndexByte(line, '\n')
		if i < 0 {
			return len(p)
		}
		n += i + 1
		if i == 0 {
			return n
		}
	}
}

// buffered estimates how many bytes of a client lie between the kernel and the handler, in
// the buffers of crypto/tls and net/http. The kernel counts the bytes that were read, and
// each request tells how long it is.
type buffered struct {
	mu     sync.Mutex
	secure bool // the connection has TLS
	marked bool
	mark   int64 // bytes that were read from the kernel
	known  bool  // left is
	left   int64 // bytes behind the request, negative where a part of its body is to come
	piped  bool  // the last request was in the buffers when the one before was answered
	burst  int64 // requests since net/http has read from the kernel
	size   int64 // of the last request
	doubts int   // answers that did not say close because of left, one after the other
}

const (
	record     = 22 // bytes that TLS adds to a record, at least
	maxRecord  = 1300
	minRequest = 16
	maxDoubts  = 2
)

// begin is called when this generation begins to drain. Where the client is idle, nothing
// is in the buffers. Of a new one the end of the TLS handshake may be due.
func (b *buffered) begin(k *client) {
	if !k.used.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, ok := consumed(k.conn)
	b.marked, b.mark, b.known, b.left = ok, n, ok && k.idle.Load(), 0
}

// arrive takes a request that has begun, and is the first of its connection or not.
func (b *buffered) arrive(k *client, r *http.Request, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, ok := consumed(k.conn)
	if !ok {
		return
	}
	b.secure = r.TLS != nil
	b.piped = b.marked && n == b.mark || !b.marked && !first // the second: begin comes a moment later
	switch {
	case !b.marked:
		b.marked = true
	case b.piped:
		b.doubts = 0
		b.burst++
	default:
		b.left, b.known, b.burst = max(0, b.left)+b.sent(n-b.mark), true, 1 // and before that net/http has asked for more
	}
	b.mark = n
	b.size = sizeOf(r)
	b.left -= b.size
	if r.ContentLength < 0 {
		b.known, b.left = false, 0
	}
}

// more reports whether bytes of another request are here.
func (b *buffered) more(c net.Conn, body int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, ok := consumed(c)
	if ok && b.marked && n > b.mark {
		b.left += b.sent(n - b.mark)
		b.mark = n
	}
	due := max(0, -b.left) // of the body
	if n, ok := unreadBytes(c); ok && int64(n) > due+due/32+min(due, 4*record) {
		return true
	}
	switch {
	case !b.known:
		return b.piped
	case b.left < b.least(body):
		b.doubts = 0
		return false
	}
	if !b.piped {
		b.doubts++ // its requests may be longer than they seem
	}
	return b.doubts <= maxDoubts
}

// least returns how many bytes left are surely those of a request: each request may have
// come in a record, and its body in several, but the next is not much shorter than this.
func (b *buffered) least(body int64) int64 {
	if !b.secure {
		return minRequest
	}
	return minRequest + min(b.size-body-minRequest, record*b.burst) + min(body, record*(1+body/maxRecord))
}

// sent returns the number of bytes that a client has sent in n bytes of the connection.
func (b *buffered) sent(n int64) int64 {
	if b.secure {
		return n - record
	}
	return n
}

// consumed returns how many bytes were read from the kernel.
func consumed(c net.Conn) (int64, bool) {
	s, ok := underTLS(c).(syscall.Conn)
	if !ok {
		return 0, false
	}
	n, err := fd.Consumed(s)
	return n, err == nil
}

// sizeOf returns the bytes that most clients send for r.
func sizeOf(r *http.Request) int64 {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  \r\n\r\n")
	field := func(name, value string) { n += len(name) + len(value) + len(": \r\n") }
	if r.Host != "" {
		field("Host", r.Host)
	}
	for name, values := range r.Header {
		for _, v := range values {
			field(name, v)
		}
	}
	if r.Header.Get("Pragma") == "no-cache" && r.Header.Get("Cache-Control") == "no-cache" {
		n -= len("Cache-Control: no-cache\r\n") // net/http adds it
	}
	return int64(n) + max(0, r.ContentLength)
}
