package rehttp3

import (
	"net/http"
	"sync"

	"github.com/quic-go/quic-go"
)

// requests are requests in work. The zero value has none.
type requests struct {
	mu    sync.Mutex
	open  map[*http.Request]struct{}
	begun int           // number of requests so far
	empty chan struct{} // closed when there is no request, nil if there has been none
}

func (q *requests) begin(r *http.Request) (end func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) == 0 {
		q.open, q.empty = map[*http.Request]struct{}{}, make(chan struct{})
	}
	q.open[r] = struct{}{}
	q.begun++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if delete(q.open, r); len(q.open) == 0 {
			close(q.empty)
		}
	}
}

// none returns a channel that is closed when there is no request, and the number of requests
// so far.
func (q *requests) none() (<-chan struct{}, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.empty == nil {
		q.empty = make(chan struct{})
		close(q.empty)
	}
	return q.empty, q.begun
}

// list returns the requests in work, each with its client.
func (q *requests) list() (all []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for r := range q.open {
		all = append(all, r.Method+" "+r.URL.Path+" of "+r.RemoteAddr)
	}
	return all
}

// connections are the open connections of a QUIC service.
type connections struct {
	mu   sync.Mutex
	open map[*quic.Conn]struct{}
}

func (c *connections) begin(conn *quic.Conn) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, conn)
	}
}

// list returns the addresses of the clients.
func (c *connections) list() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		all = append(all, conn.RemoteAddr().String())
	}
	return all
}
