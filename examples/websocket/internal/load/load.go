// Package load has clients that stay connected to the server. They send messages and check
// that each answer and each push arrives once and in order.
package load

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// patience bounds the wait for the last answers: it says that something hangs.
const patience = time.Minute

// A Config says what to send.
type Config struct {
	URL     string // without the path
	Clients int
	Rate    int // messages a second of each client
}

// A Report is the result of all clients.
type Report struct {
	Sent, Answered, Pushes int
	Closed                 int // connections that have ended before the client closed them
	Generations            map[int]int
	First                  []string // what was lost, doubled or out of order
}

func (r Report) String() string {
	return fmt.Sprintf("%d sent, %d answered, %d pushes, %d closed, by generation %v %q", r.Sent, r.Answered, r.Pushes, r.Closed, r.Generations, r.First)
}

type run struct {
	Config
	connected sync.WaitGroup
	mu        sync.Mutex
	report    Report
}

// Run sends until stop is closed, waits for all answers and reports. It calls connected when
// all clients are connected.
func Run(stop <-chan struct{}, c Config, connected func()) Report {
	r := &run{Config: c, report: Report{Generations: map[int]int{}}}
	var clients sync.WaitGroup
	r.connected.Add(c.Clients)
	for i := range c.Clients {
		path := []string{"/coder", "/gorilla"}[i%2]
		clients.Go(func() { r.client(stop, path) }) // ends with stop
	}
	r.connected.Wait()
	connected()
	clients.Wait()
	return r.report
}

// client is one connection.
func (r *run) client(stop <-chan struct{}, path string) {
	c, _, err := websocket.Dial(context.Background(), r.URL+path, &websocket.DialOptions{Subprotocols: []string{"count"}})
	r.connected.Done()
	if err != nil {
		r.note(func(p *Report) { p.Closed++ }, "%s: dial: %v", path, err)
		return
	}
	defer c.CloseNow()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answers, ended := make(chan int, 1), make(chan struct{})
	go func() { defer close(ended); r.read(ctx, c, path, answers) }() // ends with c
	tick := time.NewTicker(time.Second / time.Duration(r.Rate))
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-tick.C:
			if err := c.Write(ctx, websocket.MessageText, fmt.Append(nil, n)); err != nil {
				r.note(func(p *Report) { p.Closed++ }, "%s: message %d: %v", path, n, err)
				return
			}
			n++
			r.note(func(p *Report) { p.Sent++ }, "")
		case <-ended:
			return
		case <-stop:
			answers <- n
			select {
			case <-ended:
			case <-time.After(patience):
				r.note(func(*Report) {}, "%s: answers are missing after %v", path, patience)
			}
			return
		}
	}
}

// read checks what comes until each of the n messages that answers tells has its answer.
func (r *run) read(ctx context.Context, c *websocket.Conn, path string, answers <-chan int) {
	answered, pushed, want := 0, 0, -1
	for answered != want {
		_, text, err := c.Read(ctx)
		if err != nil {
			r.note(func(p *Report) { p.Closed++ }, "%s: after %d answers: %v", path, answered, err)
			return
		}
		if number, ok := strings.CutPrefix(string(text), "push "); ok {
			if number != fmt.Sprint(pushed) {
				r.note(func(*Report) {}, "%s: push %s, want %d", path, number, pushed)
			}
			pushed++
			r.note(func(p *Report) { p.Pushes++ }, "")
		} else {
			var received, generation, message int
			if _, err := fmt.Sscanf(string(text), "answer %d %d %d", &received, &generation, &message); err != nil || received != answered || message != answered {
				r.note(func(*Report) {}, "%s: %q, want answer %d", path, text, answered)
			}
			answered++
			r.note(func(p *Report) { p.Answered++; p.Generations[generation]++ }, "")
		}
		select {
		case want = <-answers:
		default:
		}
	}
	_ = c.Close(websocket.StatusNormalClosure, "") // all is answered
}

// note changes the report and keeps the first texts.
func (r *run) note(f func(*Report), format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.report)
	if format != "" && len(r.report.First) < 5 {
		r.report.First = append(r.report.First, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}
