// Package load counts the requests of a client and their answers.
package load

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A Count is the result of one kind of requests.
type Count struct{ Sent, Answered int }

// A Load notes each request. Nothing is sent twice.
type Load struct {
	Work sync.WaitGroup // goroutines that ask
	Last func() error   // a check after the last answer; it may be nil

	stop   chan struct{} // closed at the end of the load
	mu     sync.Mutex
	counts map[string]Count
	first  []string // errors
}

// Run calls start, which starts the goroutines that ask, and waits until standard input ends
// and all of them have returned. Then it prints the counts as JSON.
func Run(start func(*Load) error) error {
	l := &Load{stop: make(chan struct{}), counts: map[string]Count{}}
	go func() { // ends with the input
		_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end, too
		close(l.stop)
	}()
	if err := start(l); err != nil {
		return err
	}
	l.Work.Wait()
	if l.Last != nil {
		l.Note("last", l.Last())
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"Counts": l.counts, "First": l.first})
}

// Note counts a request.
func (l *Load) Note(kind string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts[kind]
	c.Sent++
	if err == nil {
		c.Answered++
	} else if len(l.first) < 5 {
		l.first = append(l.first, fmt.Sprintf("%s: %v", kind, err))
	}
	l.counts[kind] = c
}

// Each runs n clients. Each calls ask in each interval, until the load ends or ask fails.
func (l *Load) Each(kind string, n int, interval time.Duration, ask func(i int) error) {
	for i := range n {
		l.Work.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(interval):
				}
				err := ask(i)
				l.Note(kind, err)
				if err != nil {
					return
				}
			}
		})
	}
}
