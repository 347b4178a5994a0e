package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/examples/internal/supervised"
)

// A load posts at a steady rate on connections that it keeps until the server says
// that it closes them, and on new ones. Nothing is sent twice.
type load struct {
	address string
	stop    chan struct{}
	clients sync.WaitGroup

	mu             sync.Mutex // guards what follows
	sent, answered int
	errors         []error
	generations    map[int]int
}

func startLoad(address string, kept, fresh int) *load {
	l := &load{address: address, stop: make(chan struct{}), generations: map[int]int{}}
	for range kept {
		l.clients.Go(func() { l.client(true) })
	}
	for range fresh {
		l.clients.Go(func() { l.client(false) })
	}
	return l
}

// end stops the load and fails the test if a request was lost.
func (l *load) end(t testing.TB) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	t.Logf("%d sent, %d answered, by generation %v", l.sent, l.answered, l.generations)
	if l.sent == 0 || l.answered != l.sent {
		t.Errorf("%d of %d requests were lost: %v", l.sent-l.answered, l.sent, l.errors[:min(5, len(l.errors))])
	}
}

// client ends with stop.
func (l *load) client(keep bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var c net.Conn
	var in *bufio.Reader
	for {
		select {
		case <-tick.C:
		case <-l.stop:
			if c != nil {
				c.Close()
			}
			return
		}
		var err error
		if c == nil {
			if c, err = net.DialTimeout("tcp", l.address, supervised.Patience); err == nil {
				in = bufio.NewReader(c)
			}
		}
		closes, generation := true, 0
		if err == nil {
			closes, generation, err = post(c, in, keep)
		}
		l.note(generation, err)
		if c != nil && (closes || err != nil) {
			c.Close()
			c = nil
		}
	}
}

func (l *load) note(generation int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.errors = append(l.errors, err)
		return
	}
	l.answered++
	l.generations[generation]++
}

// answeredBy reports whether a generation has answered.
func (l *load) answeredBy(generation int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generations[generation] > 0
}

func post(c net.Conn, in *bufio.Reader, keep bool) (closes bool, generation int, err error) {
	if err := c.SetDeadline(time.Now().Add(supervised.Patience)); err != nil {
		return true, 0, err
	}
	var request bytes.Buffer
	fmt.Fprint(&request, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n")
	if !keep {
		fmt.Fprint(&request, "Connection: close\r\n")
	}
	fmt.Fprint(&request, "\r\nhello")
	if _, err := c.Write(request.Bytes()); err != nil {
		return true, 0, err
	}
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		return true, 0, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return true, 0, err
	}
	var pid, n int
	_, err = fmt.Sscanf(string(body), "generation=%d pid=%d bytes=%d", &generation, &pid, &n)
	if err == nil && n != 5 {
		err = fmt.Errorf("answer %q to 5 bytes", body)
	}
	return r.Close, generation, err
}
