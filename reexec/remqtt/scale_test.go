package remqtt

import (
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var full = flag.Bool("full", false, "move 10,000 sessions instead of 200")

// TestManySessionsMoveAtOnce logs how long clients wait. Each client has a topic, and some publish to
// all others meanwhile.
func TestManySessionsMoveAtOnce(t *testing.T) {
	n := 200
	if *full {
		n = 10000
	}
	l := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	t.Cleanup(func() {
		l.log.mu.Lock()
		defer l.log.mu.Unlock()
		if len(l.log.all) > 0 {
			t.Errorf("logged %d lines: %.2000s", len(l.log.all), strings.Join(l.log.all, "\n"))
		}
	})
	clients, got := l.fleet(n)
	var acknowledged atomic.Int64
	over := make(chan struct{})
	var publishing sync.WaitGroup
	const publishers = 20
	var longest [publishers]time.Duration
	for i := range publishers {
		publishing.Go(func() {
			for to := i; !isClosed(over); to = (to + publishers) % n {
				began := time.Now()
				if err := clients[i].publish(fmt.Sprint("to/", to), fmt.Sprint(i, " ", to), 1, false); err != nil {
					t.Error(err)
					return
				}
				acknowledged.Add(1)
				longest[i] = max(longest[i], time.Since(began))
			}
		})
	}
	const upgrades = 2
	for range upgrades {
		began := time.Now()
		<-l.upgrade().ended
		t.Logf("%d sessions have moved in %v", n, time.Since(began).Round(time.Millisecond))
	}
	close(over)
	publishing.Wait()
	wait := time.Duration(0)
	for _, d := range longest {
		wait = max(wait, d)
	}
	t.Logf("%d messages, the longest wait for an acknowledgment is %v", acknowledged.Load(), wait.Round(time.Millisecond))
	for range acknowledged.Load() {
		<-got // a message that is lost ends the test by its time
	}
	select {
	case text := <-got:
		t.Errorf("a message comes twice: %s", text)
	default:
	}
	for _, c := range clients {
		if isClosed(c.ended) {
			t.Errorf("%s has lost its connection: %v", c.id, c.why)
		}
	}
}

// fleet connects n clients without sockets, because there may not be enough descriptors.
func (l *line) fleet(n int) (clients []*client, got chan string) {
	l.Helper()
	got = make(chan string, 1<<20)
	for i := range n {
		c := &client{TB: l.TB, id: fmt.Sprint("client", i), level: byte(4 + i%2), got: func(_, text string, _ packet) { got <- text }}
		c.dial = func() (net.Conn, error) {
			theirs, ours := net.Pipe()
			l.now.arrivals <- ours
			return theirs, nil
		}
		clients = append(clients, c)
	}
	var connecting sync.WaitGroup
	for part := range 8 {
		connecting.Go(func() {
			for i := part; i < n; i += 8 {
				clients[i].must(clients[i].connect(""))
				clients[i].must(clients[i].subscribe(fmt.Sprint("to/", i), 1))
			}
		})
	}
	connecting.Wait()
	l.Cleanup(func() {
		for _, c := range clients {
			_ = c.conn.Close() // ends its reader
		}
	})
	return clients, got
}
