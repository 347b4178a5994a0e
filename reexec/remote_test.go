//go:build linux

package reexec_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A remote is the test's side of an actor.
type remote struct {
	*stage
	hello
	out  *json.Encoder
	gone chan struct{} // closed when the process has ended

	mu      sync.Mutex // guards what follows
	pending map[string]chan reply
	events  []reply
	seen    int           // events before it were awaited
	news    chan struct{} // closed and replaced at each event
}

func (r *remote) heard(m reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.ID != "" {
		r.pending[m.ID] <- m
		return
	}
	r.events = append(r.events, m)
	close(r.news)
	r.news = make(chan struct{})
}

// An outcome is the reply to an order, which may take its time.
type outcome struct {
	r     *remote
	order order
	reply chan reply
}

// begin gives an order.
func (r *remote) begin(do string, args ...string) *outcome {
	r.Helper()
	r.mu.Lock()
	o := &outcome{r, order{fmt.Sprintf("%s %d", do, len(r.pending)), do, args}, make(chan reply, 1)}
	r.pending[o.order.ID] = o.reply
	r.mu.Unlock()
	if err := r.out.Encode(o.order); err != nil {
		r.Fatalf("process %d: order %s: %v", r.PID, do, err)
	}
	return o
}

// wait returns the reply.
func (o *outcome) wait() reply {
	o.r.Helper()
	select {
	case m := <-o.reply:
		return m
	case <-o.r.gone:
		select { // it may have ended right after
		case m := <-o.reply:
			return m
		default:
		}
		o.r.Fatalf("process %d ended without an answer to %q", o.r.PID, o.order.ID)
	case <-o.r.ctx.Done():
		o.r.Fatalf("process %d does not answer %q; it says %v", o.r.PID, o.order.ID, o.r.history())
	}
	return reply{}
}

// text waits for success and returns what comes with it.
func (o *outcome) text() string {
	o.r.Helper()
	m := o.wait()
	if m.Err != "" {
		o.r.Fatalf("process %d: %s: %s", o.r.PID, o.order.ID, m.Err)
	}
	return m.Text
}

// fails waits for an error with each of the texts in it.
func (o *outcome) fails(with ...string) {
	o.r.Helper()
	m := o.wait()
	for _, text := range with {
		if !strings.Contains(m.Err, text) {
			o.r.Errorf("process %d: %s: %q, want %q", o.r.PID, o.order.ID, m.Err, text)
		}
	}
	if m.Err == "" {
		o.r.Errorf("process %d: %s succeeded", o.r.PID, o.order.ID)
	}
}

// cancel ends the context of the order.
func (o *outcome) cancel() {
	o.r.Helper()
	o.r.do("cancel", o.order.ID)
}

// do gives an order that has to succeed.
func (r *remote) do(what string, args ...string) string {
	r.Helper()
	return r.begin(what, args...).text()
}

// await returns when an event has come after the last one that was awaited.
func (r *remote) await(what, text string) {
	r.Helper()
	for {
		r.mu.Lock()
		i := slices.IndexFunc(r.events[r.seen:], func(e reply) bool { return e.What == what && strings.Contains(e.Text, text) })
		if i >= 0 {
			r.seen += i + 1
			r.mu.Unlock()
			return
		}
		news := r.news
		r.mu.Unlock()
		select {
		case <-news:
		case <-r.gone:
			r.Fatalf("process %d ended, and did not say %s %s but %v", r.PID, what, text, r.history())
		case <-r.ctx.Done():
			r.Fatalf("process %d does not say %s %s but %v", r.PID, what, text, r.history())
		}
	}
}

// said is await for an event that may have come in any order with others.
func (r *remote) said(what string) {
	r.Helper()
	for {
		r.mu.Lock()
		found, news := slices.ContainsFunc(r.events, func(e reply) bool { return e.What == what }), r.news
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-news:
		case <-r.ctx.Done():
			r.Fatalf("process %d does not say %s but %v", r.PID, what, r.history())
		}
	}
}

// state is await for a state of the Upgrader.
func (r *remote) state(name string) {
	r.Helper()
	r.await("state", name)
}

func (r *remote) history() []reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// path returns the states that the Upgrader has been in.
func (r *remote) path() (states []string) {
	for _, e := range r.history() {
		if e.What == "state" {
			states = append(states, e.Text)
		}
	}
	return states
}

func (r *remote) signal(sig unix.Signal) {
	r.Helper()
	r.must(unix.Kill(r.PID, sig))
}

// freeze stops a first generation, our child, and returns when none of its threads
// runs any more.
func (r *remote) freeze() {
	r.Helper()
	r.signal(unix.SIGSTOP)
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(r.PID, &ws, unix.WUNTRACED, nil)
		if err == nil && ws.Stopped() {
			return
		}
		if err != unix.EINTR {
			r.Fatalf("process %d does not stop: %v, %v", r.PID, ws, err)
		}
	}
}

// kill ends the process and returns when it has.
func (r *remote) kill() {
	r.Helper()
	r.signal(unix.SIGKILL)
	r.awaitGone()
}

// exit has the process end by itself.
func (r *remote) exit(status string) {
	r.Helper()
	r.must(r.out.Encode(order{Do: "exit", Args: []string{status}}))
	r.awaitGone()
}

func (r *remote) awaitGone() {
	r.Helper()
	select {
	case <-r.gone:
	case <-r.ctx.Done():
		r.Fatalf("process %d does not end; it says %v", r.PID, r.history())
	}
}
