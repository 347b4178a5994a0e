package testproc

import (
	"context"
	"encoding/gob"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A Process is the test's side of a process.
type Process struct {
	Hello
	T   testing.TB      // the test, which fails if a method does; set before the first call
	Ctx context.Context // bounds each wait; set with T

	conn net.Conn
	out  *gob.Encoder
	gone chan struct{} // closed when the process has ended
	seen int           // events before it were awaited

	mu      sync.Mutex // guards what follows
	pending []chan Reply
	events  []Event
	news    chan struct{} // closed and replaced at each event
}

// Accept calls arrived with each process that connects to ln, and disconnects it if
// arrived returns false. Accept returns when ln is closed and all processes have ended.
func Accept(ln net.Listener, arrived func(p *Process) bool) {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		group.Go(func() { attend(conn, arrived) }) // ends with the connection
	}
}

func attend(conn net.Conn, arrived func(p *Process) bool) {
	defer conn.Close()
	p := &Process{conn: conn, out: gob.NewEncoder(conn), gone: make(chan struct{}), news: make(chan struct{})}
	defer close(p.gone)
	in := gob.NewDecoder(conn)
	if in.Decode(&p.Hello) != nil || !arrived(p) {
		return
	}
	for {
		var m message
		if in.Decode(&m) != nil {
			return
		}
		p.heard(m)
	}
}

func (p *Process) heard(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.ID > 0 {
		p.pending[m.ID-1] <- m.Reply
		return
	}
	p.events = append(p.events, m.Event)
	close(p.news)
	p.news = make(chan struct{})
}

// A Call is under way until the process has replied.
type Call struct {
	p     *Process
	r     request
	reply chan Reply
}

// Begin makes a call.
func (p *Process) Begin(do string, args ...string) *Call {
	p.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &Call{p, request{len(p.pending) + 1, do, args}, make(chan Reply, 1)}
	p.pending = append(p.pending, c.reply)
	if err := p.out.Encode(c.r); err != nil {
		p.T.Fatalf("process %d: call %s %.200q: %v", p.PID, do, args, err)
	}
	return c
}

// Do makes a call that has to succeed.
func (p *Process) Do(what string, args ...string) string {
	p.T.Helper()
	return p.Begin(what, args...).Text()
}

// Wait returns the reply.
func (c *Call) Wait() Reply {
	c.p.T.Helper()
	select {
	case r := <-c.reply:
		return r
	case <-c.p.gone:
		select { // it may have ended right after
		case r := <-c.reply:
			return r
		default:
		}
		c.p.T.Fatalf("process %d ended without a reply to %s %.200q", c.p.PID, c.r.Do, c.r.Args)
	case <-c.p.Ctx.Done():
		c.p.T.Fatalf("process %d does not reply to %s %.200q; its events are %v", c.p.PID, c.r.Do, c.r.Args, c.p.Events())
	}
	return Reply{}
}

// Text waits for success and returns the text of the reply.
func (c *Call) Text() string {
	c.p.T.Helper()
	r := c.Wait()
	if r.Err != "" {
		c.p.T.Fatalf("process %d: %s %.200q: %s", c.p.PID, c.r.Do, c.r.Args, r.Err)
	}
	return r.Text
}

// Fails waits for an error that has each of the texts in it.
func (c *Call) Fails(with ...string) {
	c.p.T.Helper()
	r := c.Wait()
	for _, text := range with {
		if !strings.Contains(r.Err, text) {
			c.p.T.Errorf("process %d: %s %q: %q, want %q", c.p.PID, c.r.Do, c.r.Args, r.Err, text)
		}
	}
	if r.Err == "" {
		c.p.T.Errorf("process %d: %s %q succeeded", c.p.PID, c.r.Do, c.r.Args)
	}
}

// Unanswered fails the test if the process has replied already.
func (c *Call) Unanswered() {
	c.p.T.Helper()
	select {
	case r := <-c.reply:
		c.p.T.Errorf("process %d: %s %q has ended: %+v", c.p.PID, c.r.Do, c.r.Args, r)
	default:
	}
}

// Cancel ends the context of the call.
func (c *Call) Cancel() {
	c.p.T.Helper()
	c.p.Do("cancel", strconv.Itoa(c.r.ID))
}

// Next returns the next event of that name after the last one that was awaited.
func (p *Process) Next(what string) string {
	p.T.Helper()
	return p.await(what, "", &p.seen)
}

// Await returns when an event has come after the last one that was awaited.
func (p *Process) Await(what, about string) {
	p.T.Helper()
	p.await(what, about, &p.seen)
}

// Said is Await for an event that may have come in any order with others.
func (p *Process) Said(what string) {
	p.T.Helper()
	p.await(what, "", new(int))
}

// await finds an event from index seen on, and moves that behind it.
func (p *Process) await(what, about string, seen *int) string {
	p.T.Helper()
	for ended := false; ; {
		p.mu.Lock()
		later, news := p.events[*seen:], p.news
		p.mu.Unlock()
		if i := slices.IndexFunc(later, func(e Event) bool { return e.What == what && strings.Contains(e.About, about) }); i >= 0 {
			*seen += i + 1
			return later[i].About
		}
		if ended {
			p.T.Fatalf("process %d ended without the event %s %s; its events are %v", p.PID, what, about, p.Events())
		}
		select {
		case <-news:
		case <-p.gone:
			ended = true // all of its events have come
		case <-p.Ctx.Done():
			p.T.Fatalf("process %d does not report %s %s; its events are %v", p.PID, what, about, p.Events())
		}
	}
}

// Events returns all events so far.
func (p *Process) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// Exit has the process exit, and returns when it has ended.
func (p *Process) Exit(status int) {
	p.T.Helper()
	p.Begin("exit", strconv.Itoa(status))
	p.AwaitGone()
}

// AwaitGone returns when the process has ended: its connection is closed.
func (p *Process) AwaitGone() {
	p.T.Helper()
	select {
	case <-p.gone:
	case <-p.Ctx.Done():
		p.T.Fatalf("process %d does not end; its events are %v", p.PID, p.Events())
	}
}

// Disconnect closes the connection, which ends the process.
func (p *Process) Disconnect() { p.conn.Close() }
