//go:build linux

package rews

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-go/cutover/internal/halt"
)

func haltAt(p step) { halt.At(string(p)) }

// A talker is a client that sends numbered messages one after the other.
type talker struct {
	*peer
	t testing.TB

	mu      sync.Mutex
	changed *sync.Cond
	answers int
	err     error // of the connection
	ended   chan struct{}
}

func newTalker(t testing.TB, address, query string) *talker {
	k := &talker{peer: dial(t, address, "/"+query), t: t, ended: make(chan struct{})}
	k.changed = sync.NewCond(&k.mu)
	go k.talk() // ends with the connection
	return k
}

// talk checks that each message is answered once, and that no push is missing.
func (k *talker) talk() {
	defer close(k.ended)
	pushed := 0
	for n := 1; ; n++ {
		message := fmt.Sprint("message ", n)
		_, err := k.write(message, func() {})
		for answered := false; err == nil && !answered; {
			var text string
			if text, err = k.read(); err != nil {
				break
			}
			if strings.HasPrefix(text, "push ") {
				pushed++
				if text != fmt.Sprint("push ", pushed) {
					k.t.Errorf("%q, want push %d", text, pushed)
				}
				continue
			}
			if text != fmt.Sprint(n, " ", message) {
				k.t.Errorf("message %d is answered %q", n, text)
			}
			answered = true
		}
		k.mu.Lock()
		k.answers, k.err = n, err
		k.changed.Broadcast()
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// goesOn waits for some more answers, and reports whether they come.
func (k *talker) goesOn() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for end := k.answers + 5; k.answers < end && k.err == nil; {
		k.changed.Wait()
	}
	return k.err == nil
}

// TestKillAtEachStepOfAMove ends the predecessor or the successor. The clients of the other
// process stay connected, each message arrives once, and they go on through the next upgrade.
func TestKillAtEachStepOfAMove(t *testing.T) {
	for _, at := range steps() {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			s := halt.Start(t, "http", string(at))
			var all []*talker
			for i := range 8 {
				all = append(all, newTalker(t, s.Address, []string{"", "?raw"}[i%2]))
			}
			t.Cleanup(func() {
				for _, k := range all {
					_ = k.Close() // may be closed
					<-k.ended
				}
			})
			for _, k := range all {
				k.goesOn()
			}
			held := get(t, s.Address, "/held") // else a predecessor may end before its successor
			survivor, owned := s.KillOne()
			stay := all[:0:0]
			for _, k := range all {
				if owned[halt.Port(k.Conn)] || k.goesOn() { // else it was the other process's
					stay = append(stay, k)
				}
			}
			stay = append(stay, newTalker(t, s.Address, ""))
			all = append(all, stay[len(stay)-1])
			wantOn(t, stay, survivor)
			s.Upgrade(survivor)
			next := s.AwaitOther(survivor)
			_ = held.Close() // may have ended with its process
			s.AwaitEnd(survivor)
			wantOn(t, stay, next)
			t.Logf("%d of %d clients stay", len(stay)-1, len(all)-1)
		})
	}
}

// get returns a connection after the head of the answer to a request.
func get(t *testing.T, address, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // may be closed
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func wantOn(t *testing.T, all []*talker, pid int) {
	t.Helper()
	for _, k := range all {
		if !k.goesOn() {
			t.Errorf("a client of process %d has lost its connection: %v", pid, k.err)
		}
	}
}
