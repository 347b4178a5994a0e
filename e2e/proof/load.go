package proof

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// maxPending bounds the requests of a stream that wait for an answer.
const maxPending = 8192

// A running load is all streams of a daemon's probes.
type running struct {
	stop func() // ends sending and waits for the answers that are due
}

// start puts the streams on the daemon that which accepts. The end of ctx abandons them.
func start(ctx context.Context, d *Daemon, dial Dial, r *collector, which func(stream) bool) running {
	sending, halt := context.WithCancel(ctx)
	var group sync.WaitGroup
	var runs []*load.Run
	index := 0
	for _, p := range d.probes() {
		for _, s := range p.streams() {
			switch {
			case !which(s):
			case s.class == nil:
				l := &paced{stream: s, index: index, dial: dial, r: r}
				group.Go(func() { l.run(ctx, sending) }) // ends with sending and its last answer; stop waits
			default:
				runs = append(runs, load.Start(ctx, load.Config{Dial: dial, Classes: []load.Class{classOf(s, index)}, Limit: time.Hour, Settled: r.Settled}))
			}
			index++
		}
	}
	return running{stop: func() {
		halt()
		for _, run := range runs {
			group.Go(func() { run.Stop() }) // ends with the last answer
		}
		group.Wait()
	}}
}

// all accepts every stream.
func all(stream) bool { return true }

// brief accepts streams whose connections end soon. The others may keep each replaced
// process until its drain deadline.
func brief(s stream) bool { return s.conns == 0 || s.class != nil && s.class.Protocol == load.HTTP1 }

// classOf returns the class of a stream of HTTP.
func classOf(s stream, index int) load.Class {
	c := *s.class
	c.Name, c.Rate, c.Conns, c.Timeout, c.MaxPending = strconv.Itoa(index), s.rate, s.conns, s.Timeout, maxPending
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(keptConns)
	}
	return c
}

// A paced stream sends the requests of a probe that package load does not know. It is an open
// loop as that one is: the schedule is absolute, and latencies count from it.
type paced struct {
	stream
	index int
	dial  Dial
	r     *collector

	mu      sync.Mutex
	idle    []kept // longest idle first
	open    int    // kept connections
	pending int
}

// A kept session has answered a request before.
type kept struct{ session }

func (l *paced) run(ctx, sending context.Context) {
	var busy sync.WaitGroup
	gap := float64(time.Second) / l.rate
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(float64(n) * gap))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
			busy.Go(func() { l.one(ctx, due) }) // ends with the timeout; run waits
			continue
		case <-sending.Done():
		}
		break
	}
	busy.Wait()
	for _, s := range l.idle {
		_ = s.Close() // nothing was sent on it
	}
}

// one sends a request that is due and records the result.
func (l *paced) one(ctx context.Context, due time.Time) {
	limited, cancel := context.WithDeadline(ctx, due.Add(l.Timeout))
	defer cancel()
	q := record.Request{Load: l.index, Due: l.r.At(due)}
	defer l.leave()
	if !l.enter() {
		q.Failure, q.Error = record.NotSent, "too many requests wait for an answer"
		l.r.Enter(q)
		return
	}
	var datagram atomic.Bool
	used, err := l.send(limited, noting(l.dial, &datagram))
	if ctx.Err() != nil {
		return // abandoned
	}
	q.Took, q.Kept, q.Datagram = time.Since(due), used, datagram.Load()
	if err != nil {
		q.Failure, q.Error = failureOf(err), err.Error()
	}
	l.r.Enter(q)
}

// enter counts a request that waits, and reports whether there is room for it.
func (l *paced) enter() (room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending++
	return l.pending <= maxPending
}

func (l *paced) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
}

// send asks on a kept connection, or on a new one, and reports whether the connection had
// answered before.
func (l *paced) send(ctx context.Context, dial Dial) (used bool, err error) {
	s := l.take()
	used = s != nil
	if !used {
		if s, err = l.Probe.open(ctx, dial); err != nil {
			return false, err
		}
	}
	if err := s.ask(ctx); err != nil {
		_ = s.Close() // the error of the request says more
		l.gone(used)
		return used, err
	}
	l.put(s, used)
	return used, nil
}

// noting returns a dial that sets datagram when it opens a datagram socket. The function of a
// probe may call it on several goroutines.
func noting(dial Dial, datagram *atomic.Bool) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(network, "udp") || network == "unixgram" {
			datagram.Store(true)
		}
		return dial(ctx, network, address)
	}
}

// take returns the session that was idle for longest and is still open, nil if there is none
// or if fewer are open than are to be kept.
func (l *paced) take() session {
	for {
		l.mu.Lock()
		if len(l.idle) == 0 || l.open < l.conns {
			l.mu.Unlock()
			return nil
		}
		s := l.idle[0]
		l.idle = l.idle[1:]
		l.mu.Unlock()
		if s.session.idle() {
			return s.session
		}
		_ = s.Close() // the other end has closed it
		l.gone(true)
	}
}

// gone notes that a session has ended.
func (l *paced) gone(used bool) {
	if !used {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// put keeps a session for the next request, or closes it.
func (l *paced) put(s session, used bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !used && l.open >= l.conns {
		_ = s.Close() // it has done its work
		return
	}
	if !used {
		l.open++
	}
	l.idle = append(l.idle, kept{s})
}
