// Package load asks an HTTP/3 server without a pause, and counts what gets lost.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A Run is a number of clients, each with a separate connection.
type Run struct {
	url     string
	answers sync.Map // generation to *atomic.Int64
	dials   atomic.Int64
	unsent  atomic.Int64
	losses  struct {
		sync.Mutex
		all []error
	}
}

// A Result is the result of a Run.
type Result struct {
	Requests    int64            // that were answered
	Generations map[string]int64 // by whom
	Dials       int64            // of connections
	Unsent      int64            // requests that the client had to begin anew by itself
	Lost        []string         // why
}

// Do asks url until ctx ends, or enough requests were begun if that is not 0, with
// the given number of clients and streams of each. A request that was begun is always
// waited for.
func Do(ctx context.Context, url string, clients, streams int, enough int64) Result {
	r := &Run{url: url}
	var all sync.WaitGroup
	var begun atomic.Int64
	for range clients {
		c := r.client()
		defer c.Close()
		for range streams {
			all.Go(func() {
				for n := 0; ctx.Err() == nil && (enough == 0 || begun.Add(1) <= enough); n++ {
					r.ask(c, n)
				}
			})
		}
	}
	all.Wait()
	return r.result()
}

func (r *Run) result() Result {
	result := Result{Generations: map[string]int64{}, Dials: r.dials.Load(), Unsent: r.unsent.Load()}
	r.answers.Range(func(generation, n any) bool {
		result.Generations[generation.(string)] = n.(*atomic.Int64).Load()
		result.Requests += n.(*atomic.Int64).Load()
		return true
	})
	for _, err := range r.losses.all {
		result.Lost = append(result.Lost, err.Error())
	}
	return result
}

func (r *Run) client() *http3.Transport { return Client(func() { r.dials.Add(1) }) }

// patience limits the silence in a request or a handshake. It is long enough to distinguish
// a server that hangs from one that is slow.
const patience = 30 * time.Second

// Client returns a client that trusts every server, and calls dialing at each new
// connection, if it is not nil.
func Client(dialing func()) *http3.Transport {
	return &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the example's own certificate
		// With the default of 5 seconds a client without processor time counts as a loss.
		QUICConfig: &quic.Config{HandshakeIdleTimeout: patience, KeepAlivePeriod: 10 * time.Second},
		Dial: func(ctx context.Context, addr string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			if dialing != nil {
				dialing()
			}
			return quic.DialAddr(ctx, addr, t, q)
		},
	}
}

// ask makes a request that is not idempotent.
func (r *Run) ask(c *http3.Transport, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		text, err := post(ctx, c, r.url, n%2000)
		if left(err) {
			r.unsent.Add(1)
			continue
		}
		if err != nil {
			r.losses.Lock()
			r.losses.all = append(r.losses.all, err)
			r.losses.Unlock()
			return
		}
		_, generation, _ := strings.Cut(text, "generation=")
		generation, _, _ = strings.Cut(generation, " ")
		count, _ := r.answers.LoadOrStore(generation, new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
		return
	}
}

// left says that the client closed its connection, as the server had asked it to,
// in the moment in which it was to send a request there: http3.ClientConn counts
// requests in work and looks for a GOAWAY in two steps.
func left(err error) bool {
	var e *http3.Error
	return errors.As(err, &e) && !e.Remote && e.ErrorCode == http3.ErrCodeNoError
}

func post(ctx context.Context, c http.RoundTripper, url string, size int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		return "", err
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if want := fmt.Sprintf(" bytes=%d\n", size); err == nil && (resp.StatusCode != http.StatusOK || !strings.HasSuffix(string(text), want)) {
		err = fmt.Errorf("answer %s %q, want %q at its end", resp.Status, text, want)
	}
	return string(text), err
}
