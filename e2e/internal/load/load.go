// Package load puts HTTP load on a server and counts every request that the server
// lost: HTTP/1.1, also pipelined, HTTP/2, and WebSocket, with TLS or without.
//
// It is an open loop: the requests of a [Class] start at a constant rate, on an
// absolute schedule, whether or not earlier ones were answered, and a latency is
// counted from the instant at which a request was due. A pause of the server
// therefore shows in the figures of all requests that were due during it.
//
// It does not use net/http's client, which sends a request again on another
// connection when a kept one turns out to be dead, and so hides lost requests. A request is written to a connection once; if one byte of it was written
// and no complete answer came, it has failed. HTTP/2 has
// one exception: a request that the server declares unprocessed (GOAWAY,
// REFUSED_STREAM) goes to another connection and is counted as declined.
package load

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

const (
	// DefaultTimeout is the Timeout of a Class that sets none.
	DefaultTimeout = 10 * time.Second
	// DefaultLimit is the Limit of a Config that sets none.
	DefaultLimit = 5 * time.Minute
	// DefaultMaxPending is the MaxPending of a Class that sets none.
	DefaultMaxPending = 4096
)

// A Config says what to send and where.
type Config struct {
	// Addr is the server's address, host:port, for classes that have none.
	Addr string
	// Dial opens a connection and must heed its context. Nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Classes run at the same time, each with separate connections.
	Classes []Class
	// Limit ends the run by itself, as Stop would. Zero: DefaultLimit.
	Limit time.Duration
	// Failed is called with each request that fails, from several goroutines, and must
	// not block. Nil: the report has the first failures, and the number of all.
	Failed func(Failure)
	// Settled is called with each request that is answered or fails, as Failed is.
	Settled func(Result)
}

// A Protocol is the protocol of a class.
type Protocol int

const (
	HTTP1     Protocol = iota // HTTP/1.1, one request after the other
	HTTP2                     // HTTP/2, many requests at a time
	WebSocket                 // a session for each request: messages that are echoed
)

// A Class is a stream of equal requests.
type Class struct {
	// Name is its name in the report.
	Name string
	// Addr is the server's address. Empty: that of Config.
	Addr string
	// Rate is the number of requests that start each second; zero starts none.
	Rate float64
	// Count is the total number of requests. Zero: until the run ends.
	Count int
	// Conns is the number of connections kept open between requests. The one that
	// was idle for longest is used first, so that each of them is idle for a while.
	// When all are busy a further one is opened and closed again after its answer,
	// so that no request ever waits for another one's. Zero: a new connection for
	// each request, which then says "Connection: close". With HTTP2 requests take
	// turns on them, at least one; WebSocket has a new one for each session.
	Conns int
	// Ahead opens all Conns with a request for each before the first of the others
	// is due, 1000 each second; see [Run.Opened]. Count does not include those.
	Ahead bool
	// Protocol is HTTP1 unless it is set.
	Protocol Protocol
	// TLS is used on each connection, if it is set. Its NextProtos are set for
	// HTTP2, its ServerName to the host of Addr where it has none.
	TLS *tls.Config
	// Pipeline is the number of HTTP1 requests that are written at once on a kept
	// connection, all due at the same time; Count is rounded up to a multiple of it.
	// A request that the server leaves unanswered by a close after an earlier answer
	// fails as Unserved. Zero: 1.
	Pipeline int
	// Method and Path are those of the requests. Empty: POST and "/".
	Method, Path string
	// Body is sent with each request, and an answer that says bytes=N or sum=X must
	// agree with its length, its CRC-32. It must not be changed while the run lasts.
	Body []byte
	// Answer is the number of bytes of [Pattern] that must follow the first line of an
	// answer. Zero: any body is right.
	Answer int64
	// Slowly is the intended duration of a request: the client writes Body and reads
	// Answer evenly over that time, or uses a WebSocket for that time. Latency is the
	// additional time.
	Slowly time.Duration
	// Numbered gives each request an id of the class's name and a number. The query of
	// its path says id=, and an answer that does not name the same id is a failure.
	Numbered bool
	// AnyText accepts each answer with Status and a provable end, from a server that does
	// not tell bytes= and sum=.
	AnyText bool
	// Status is the only status that is not a failure. Zero: 200.
	Status int
	// Timeout is the time from the intended start to the last byte of the answer.
	// Zero: DefaultTimeout.
	Timeout time.Duration
	// MaxPending bounds the requests that wait for an answer; one that is due when
	// that many wait fails as Saturated. Zero: DefaultMaxPending.
	MaxPending int
}

// A Run is load on a server. Its methods are safe for concurrent use.
type Run struct {
	began   time.Time
	classes []*class
	halt    context.CancelFunc
	opened  chan struct{}
	done    chan struct{}
	ended   time.Time // set before done is closed
}

// Start starts to send the classes of c and returns at once. The run ends when ctx
// does, when c.Limit has passed, when Stop is called, or when each class has sent
// its Count of requests. The end of ctx closes the connections at once and abandons
// the requests on them, which then count neither as answered nor as failed. Every
// other end waits for the pending answers, at most for the longest Timeout.
func Start(ctx context.Context, c Config) *Run {
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	sending, halt := context.WithTimeout(ctx, c.Limit)
	r := &Run{began: time.Now(), halt: halt, opened: make(chan struct{}), done: make(chan struct{})}
	var all, opening sync.WaitGroup
	for _, spec := range c.Classes {
		k := newClass(spec, c)
		r.classes = append(r.classes, k)
		opening.Add(1)
		all.Go(func() { k.run(ctx, sending, r.began, opening.Done) }) // ends with sending and its last answer; awaited below
	}
	go func() { // ends with the classes at the latest; they are awaited below
		opening.Wait()
		close(r.opened)
	}()
	go func() { // ends with the classes; Stop waits on r.done
		all.Wait()
		<-r.opened
		halt()
		r.ended = time.Now()
		close(r.done)
	}()
	return r
}

// Opened is closed when the connections of all classes that open them Ahead have
// answered or failed, or the run has ended.
func (r *Run) Opened() <-chan struct{} { return r.opened }

// Done is closed when the run has ended and its connections are closed.
func (r *Run) Done() <-chan struct{} { return r.done }

// Report returns the figures so far. For those of an interval take one at its
// beginning and one at its end, and see [Report.Since].
func (r *Run) Report() Report {
	report := Report{Began: r.began, Elapsed: time.Since(r.began)}
	select {
	case <-r.done:
		report.Elapsed = r.ended.Sub(r.began)
	default:
	}
	for _, c := range r.classes {
		report.Classes = append(report.Classes, c.tally.snapshot())
	}
	return report
}

// Stop stops sending, waits for the answers that are due, which takes no longer
// than the longest Timeout, closes the connections and returns the final
// figures. A second call returns them again.
func (r *Run) Stop() Report {
	r.halt()
	<-r.done
	return r.Report()
}
