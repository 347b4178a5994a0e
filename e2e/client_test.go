package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// patience bounds whatever a story waits for. It says that something hangs, never
// that it is slow.
const patience = 60 * time.Second

// client is who asks a server, and what its test expects of the answers.
type client struct {
	testing.TB
	ctx     context.Context
	address string
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (c *client) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// answer is what a server says of the process that answered, and of its inside
// where it was asked for that.
type answer struct {
	version         string
	generation, pid int
	rest            string
}

// get asks the server for path on a connection of its own.
func (c *client) get(path string) answer {
	c.Helper()
	a, err := c.tryGet(path)
	c.must(err)
	return a
}

func (c *client) tryGet(path string) (answer, error) { return c.ask(path, func() {}) }

// ask is tryGet and calls sent when the request is written, or cannot be.
func (c *client) ask(path string, sent func()) (a answer, err error) {
	done := sync.OnceFunc(sent)
	defer done()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	conn, err := c.dial(ctx, "tcp", c.address)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path); err != nil {
		return a, err
	}
	done()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return a, err
	}
	return parseAnswer(string(body))
}

func parseAnswer(line string) (a answer, err error) {
	words := strings.SplitN(strings.TrimSpace(line), " ", 4)
	if len(words) == 4 {
		a.rest = words[3]
	}
	if _, err := fmt.Sscanf(line, "version=%s generation=%d pid=%d", &a.version, &a.generation, &a.pid); err != nil {
		return a, fmt.Errorf("answer %q: %w", line, err)
	}
	return a, nil
}

// The load of the stories: idle enough for two cores, busy enough that anything
// lost by an upgrade shows.
var (
	kept   = load.Class{Name: "kept", Rate: 400, Conns: 16, Body: []byte("kept")}
	fresh  = load.Class{Name: "new", Rate: 250, Body: []byte("new")}
	slow   = load.Class{Name: "slow", Rate: 8, Path: "/sleep?d=2s"}
	normal = []load.Class{kept, fresh, slow}

	// An Accept of 2 ms takes less than 500 connections a second, and much less on a
	// busy machine. More would fill the socket's queue, and show nothing but that.
	gentle = []load.Class{lightKept, lightFresh, slow}

	// For stories that are not about the load, two of which run at a time.
	lightKept  = load.Class{Name: "kept", Rate: 100, Conns: 4, Body: []byte("kept")}
	lightFresh = load.Class{Name: "new", Rate: 60, Body: []byte("new")}
	light      = []load.Class{lightKept, lightFresh, {Name: "slow", Rate: 4, Path: "/sleep?d=2s"}}

	// For stories with several machines, or with handshakes.
	sparse    = load.Class{Name: "kept", Rate: 10, Conns: 1}
	sparseTLS = load.Class{Name: "tls", Rate: 20, Conns: 2, Timeout: patience}
)

func (c *client) load(classes ...load.Class) *load.Run {
	return load.Start(c.ctx, load.Config{Addr: c.address, Dial: c.dial, Classes: classes})
}

// pass lets the load go on for n requests of a client of its own.
func (c *client) pass(n int) {
	c.Helper()
	one := load.Class{Name: "pace", Rate: 100, Count: n, Conns: 1}
	<-load.Start(c.ctx, load.Config{Addr: c.address, Dial: c.dial, Classes: []load.Class{one}}).Done()
}

// nothingLost ends run and fails the test if a request was lost.
func (c *client) nothingLost(run *load.Run) load.Report {
	c.Helper()
	r := run.Stop()
	total := r.Total()
	if total.Failed() > 0 || total.Abandoned > 0 || total.ResetIdle > 0 || total.Answered == 0 {
		c.Errorf("%d of %d requests failed, %d abandoned, %d idle connections reset",
			total.Failed(), total.Sent, total.Abandoned, total.ResetIdle)
	}
	c.Logf("\n%v", r)
	return r
}

// wait lets a moment pass before a story asks for a state again. Questions without a pause
// take a processor from the stories beside it.
func (c *client) wait() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-c.ctx.Done():
	}
}

type outcome struct {
	answer
	err error
}

// background asks for path and returns once the request is on its way: the server
// answers what comes after it.
func (c *client) background(path string) <-chan outcome {
	c.Helper()
	sent, result := make(chan struct{}), make(chan outcome, 1)
	go func() {
		a, err := c.ask(path, func() { close(sent) })
		result <- outcome{a, err}
	}()
	<-sent
	c.get("/") // accepted after it
	return result
}

// casualty is a process that a story has killed.
type casualty struct {
	at      time.Time
	pending int // requests that waited for an answer then, or had failed already
}

// casualtyOf notes what run has in work right after a kill.
func casualtyOf(run *load.Run) casualty {
	now := run.Report().Total()
	return casualty{time.Now(), now.Pending + now.Failed()}
}

// onlyTheKilledLost ends run and fails the test for every lost request but those
// that the killed process had in work, or that went out on one of its connections
// in that moment.
func (c *client) onlyTheKilledLost(run *load.Run, killed casualty) {
	c.Helper()
	r := run.Stop()
	c.Logf("\n%v", r)
	connections := 0
	for _, class := range r.Classes {
		if n := class.Failures[load.Refused] + class.Failures[load.DialTimeout] + class.Failures[load.Timeout]; n > 0 {
			c.Errorf("%s: %d requests found nobody", class.Name, n)
		}
		for _, f := range class.First {
			if f.Due.After(killed.at) && !f.Reused {
				c.Errorf("lost after the kill at %v: %v", killed.at, f)
			}
		}
		connections += class.ClosedBusy
	}
	if n := r.Total().Failed(); n > killed.pending+connections {
		c.Errorf("%d failures, but only %d requests were in work at the kill, and %d on its connections", n, killed.pending, connections)
	}
}
