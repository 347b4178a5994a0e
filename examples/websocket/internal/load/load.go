// Package load has clients that send messages to the server, each one after the answer
// to the one before, and counts those that have none.
package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// patience is that of one answer. It says that something hangs, never that it is slow.
const patience = 30 * time.Second

// A Config says what to send.
type Config struct {
	URL     string
	Clients int
	Rate    int // messages a second of each, from the first moment
}

// A Report is the result of all messages.
type Report struct {
	Sent, Answered int
	Goodbyes       int // after which a client came again
	Generations    map[int]int
	First          []string // lost messages
}

func (r Report) String() string {
	return fmt.Sprintf("%d sent, %d answered, %d goodbyes, by generation %v %q", r.Sent, r.Answered, r.Goodbyes, r.Generations, r.First)
}

type run struct {
	Config
	mu     sync.Mutex
	report Report
}

// Run sends until stop is closed, waits for all answers and reports.
func Run(stop <-chan struct{}, c Config) Report {
	r := &run{Config: c, report: Report{Generations: map[int]int{}}}
	var clients sync.WaitGroup
	for range c.Clients {
		clients.Go(func() { // ends with stop
			for again := true; again; {
				again = r.visit(stop)
			}
		})
	}
	clients.Wait()
	return r.report
}

// visit is one connection. It reports whether to come again: after a goodbye, and
// after a loss.
func (r *run) visit(stop <-chan struct{}) (again bool) {
	c, _, err := websocket.Dial(context.Background(), r.URL, nil)
	if err != nil {
		return r.lost(stop, fmt.Errorf("dial: %w", err))
	}
	defer c.CloseNow()
	messages := receive(c)
	tick := time.NewTicker(time.Second / time.Duration(r.Rate))
	defer tick.Stop()
	dismissed, err := r.ask(c, messages, 0) // at once, so that no generation goes unasked
	for n := 1; err == nil && !dismissed; n++ {
		select {
		case m := <-messages:
			dismissed = true
			if m.err != nil || m.text != "goodbye" {
				err = fmt.Errorf("unasked: %q, %v", m.text, m.err)
			}
		case <-tick.C:
			dismissed, err = r.ask(c, messages, n)
		case <-stop:
			_ = c.Close(websocket.StatusNormalClosure, "") // all is answered
			return false
		}
	}
	if err != nil {
		return r.lost(stop, err)
	}
	r.count(func(p *Report) { p.Goodbyes++ })
	_ = c.Close(websocket.StatusNormalClosure, "") // all is answered
	return true
}

// ask sends message n and waits for its answer.
func (r *run) ask(c *websocket.Conn, messages <-chan message, n int) (dismissed bool, err error) {
	r.count(func(p *Report) { p.Sent++ })
	if err := c.Write(context.Background(), websocket.MessageText, fmt.Append(nil, n)); err != nil {
		return false, err
	}
	late := time.After(patience)
	for {
		var m message
		select {
		case m = <-messages:
		case <-late:
			return false, fmt.Errorf("no answer within %v", patience)
		}
		if m.err != nil {
			return false, m.err
		}
		if m.text == "goodbye" {
			dismissed = true
			continue
		}
		var generation, pid, got int
		if _, err := fmt.Sscanf(m.text, "generation=%d pid=%d %d", &generation, &pid, &got); err != nil || got != n {
			return false, fmt.Errorf("answer %q to %d, %v", m.text, n, err)
		}
		r.count(func(p *Report) { p.Answered++; p.Generations[generation]++ })
		return dismissed, nil
	}
}

type message struct {
	text string
	err  error
}

// receive reads c to its end.
func receive(c *websocket.Conn) <-chan message {
	messages := make(chan message, 2) // more than an answer and a goodbye never wait
	go func() {                       // ends with c
		for {
			_, text, err := c.Read(context.Background())
			messages <- message{string(text), err}
			if err != nil {
				return
			}
		}
	}()
	return messages
}

func (r *run) count(f func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.report)
}

// lost notes why, and reports whether to go on.
func (r *run) lost(stop <-chan struct{}, why error) (again bool) {
	r.count(func(p *Report) {
		if len(p.First) < 5 {
			p.First = append(p.First, time.Now().Format("15:04:05.000 ")+why.Error())
		}
	})
	select {
	case <-stop:
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}
