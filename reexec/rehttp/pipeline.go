package rehttp

import (
	"bytes"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// This file detects whether a client has sent bytes behind the request that is being
// answered. The answer does not say close then, because those bytes would be lost.

// hasMore reports whether a part of another HTTP/1 request has arrived, as far as that is
// known.
func (k *client) hasMore(r *http.Request) bool {
	if k.own != nil && k.own.plain.Load() {
		return k.own.hasMore()
	}
	return k.estimate().more(k.conn, max(0, r.ContentLength))
}

// hasMore is exact: while this generation drains, net/http gets no byte behind the end of
// a request. The exception is a body of unknown length.
func (c *conn) hasMore() bool {
	if c.over.Load() {
		return true
	}
	n, err := fd.Unread(c.socket)
	return err == nil && int64(n) > max(0, c.rest.Load())
}

// expect notes the length of the body of a request that framing does not understand, or
// -1 if it is unknown.
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

// headerEnd returns the number of bytes of p up to the end of a header. p is a part of
// that header and may go on behind it. The result is too small if p begins with a line
// end. It is never too large.
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

// buffered estimates the number of bytes of a client between the kernel and the handler:
// in the buffers of crypto/tls and net/http. The kernel counts the bytes that were read,
// and the size of each request is estimated.
type buffered struct {
	mu     sync.Mutex
	secure bool  // the connection has TLS
	marked bool  // mark is set
	mark   int64 // bytes that were read from the kernel, at the last look
	idled  bool  // idle is set
	idle   int64 // bytes that were read from the kernel when net/http began to wait for a request
	split  bool  // more bytes waited in the kernel then, perhaps the rest of a request
	open   bool  // the body of the last request has an unknown length
	known  bool  // left is known
	unsure bool  // left may be too small: net/http or crypto/tls may have had a part of a request before
	left   int64 // bytes behind the request; negative while a part of its body is missing
	piped  bool  // the last request was in the buffers before the preceding one was answered
	burst  int64 // requests since net/http last read from the kernel
	size   int64 // size of the last request
	doubts int   // successive answers that did not say close because of left
	mixed  bool  // the request is the first one, and the size of the handshake is not known
}

const (
	record     = 22 // least number of bytes that TLS adds to a record
	maxRecord  = 1300
	minRequest = 16
	maxDoubts  = 2
	maxError   = 64 // most by which sizeOf exceeds the size of a request
)

// estimate returns the buffered of k. Most connections need none.
func (k *client) estimate() *buffered {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.buffered == nil {
		k.buffered = new(buffered)
	}
	return k.buffered
}

// begin is called when this generation begins to drain. A client without a request is
// skipped, because its TLS handshake may not be complete.
func (b *buffered) begin(k *client) {
	if !k.used.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, _, ok := consumed(k.conn)
	b.marked, b.mark, b.known, b.left = ok, n, false, 0
	if ok && k.idle.Load() {
		b.idled, b.idle, b.known = true, n, true
	}
}

// wait is called when net/http begins to wait for the next request. A later read from the
// kernel shows that the buffer of net/http was empty. A read during a request does not: net/http
// then reads ahead, to see the client leave.
func (b *buffered) wait(k *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var unread int64
	b.idle, unread, b.idled = consumed(k.conn)
	b.split = unread > 0
}

// begun notes a request that has begun. first says that it is the first one of its
// connection.
func (b *buffered) begun(k *client, r *http.Request, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, _, ok := consumed(k.conn)
	if !ok {
		return
	}
	_, b.secure = under(k.conn)
	b.secure = b.secure || r.TLS != nil // k.conn may be below TLS
	since := b.mark
	if b.idled {
		since = b.idle
	}
	b.mixed = false
	b.piped = b.marked && n == since || !b.marked && !first // without a mark, begin follows in a moment
	b.left = max(0, b.left)
	switch {
	case !b.marked:
		b.marked, b.burst = true, 1
		end := k.handshakeEnd(r)
		b.mixed = first && b.secure && end == 0
		if first && !b.mixed {
			b.known, b.left = true, b.sent(n-end)
		}
	case b.piped:
		b.add(n)
		b.doubts = 0
		b.burst++
		if b.left < minRequest { // it was read before begin and has begun after: begin saw an idle client
			b.known = false
		}
	case b.known:
		b.unsure = b.unsure && b.left >= minRequest // else left was right: nothing was left
		b.add(n)
		b.burst = 1
	default:
		b.left, b.known, b.unsure, b.burst = b.sent(n-since), true, b.split || b.open, 1
	}
	b.mark, b.idled = n, false
	b.size = sizeOf(r)
	b.left -= b.size
	b.open = r.ContentLength < 0
	switch {
	case b.known && b.secure && b.left < -maxError && r.ContentLength == 0:
		b.unsure = true // crypto/tls had a part of the record
	case b.open:
		b.known, b.left = false, 0
	case !b.known && r.ContentLength == 0:
		b.left = 0 // more counts from here the bytes that are read meanwhile
	}
}

// more reports whether bytes of another request have arrived.
func (b *buffered) more(c net.Conn, body int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Both numbers are of one instant: the reader of net/http may take the bytes between
	// two questions, and each answer alone would say that there is nothing.
	n, unread, ok := consumed(c)
	if ok && b.marked {
		b.add(n)
	}
	if !ok { // not TCP
		waiting, _ := unreadBytes(c)
		unread = int64(waiting)
	}
	due := max(0, -b.left) // missing bytes of the body
	if unread > due+due/32+min(due, 4*record) {
		return true
	}
	switch {
	case b.mixed: // requests may have come with the end of the handshake
		return true
	case !b.known && b.open && !b.piped:
		b.doubts++
		return b.doubts <= maxDoubts
	case !b.known:
		return b.piped
	case b.left < b.least(body) && !b.unsure:
		b.doubts = 0
		return false
	}
	if !b.piped {
		b.doubts++ // the requests of the client may be longer than sizeOf returns, or nothing is left
	}
	return b.doubts <= maxDoubts
}

// add notes that n bytes were read from the kernel until now.
func (b *buffered) add(n int64) {
	if n > b.mark {
		b.left += b.sent(n - b.mark)
		b.mark = n
	}
}

// least returns the value of left from which on a part of another request is certain. The
// bytes that TLS adds are not known exactly: each request may have its own record, and its
// body several. The next request is assumed to be about as long as the last one.
func (b *buffered) least(body int64) int64 {
	if !b.secure {
		return minRequest
	}
	return minRequest + min(b.size-body-minRequest, record*b.burst) + min(body, record*(1+body/maxRecord))
}

// sent returns the most bytes that a client can have sent in n bytes of the connection.
func (b *buffered) sent(n int64) int64 {
	if b.secure {
		return n - record
	}
	return n
}

// consumed returns the number of bytes of c that were read from the kernel, and the number
// of those that wait there.
func consumed(c net.Conn) (n, unread int64, ok bool) {
	c, _ = under(c)
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0, 0, false
	}
	n, unread, err := fd.Consumed(s)
	return n, unread, err == nil
}

// sizeOf returns the number of bytes that most clients send for r.
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
