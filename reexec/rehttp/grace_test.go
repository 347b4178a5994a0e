package rehttp

import (
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// held is a generation of which nothing is asked but to be held.
type held struct{ generation }

func (held) Hold() func() { return func() {} }

func (held) Draining() <-chan struct{} { return nil }

func TestAnIdleConnectionWithoutARequestHasMoreGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracker(held{}, new(http.Server))
		defer tr.end()
		tr.closesIdle.Store(true)
		ended := func(states ...http.ConnState) <-chan struct{} {
			ours, theirs := net.Pipe()
			for _, s := range states {
				tr.onState(ours, s)
			}
			end := make(chan struct{})
			go func() { // ends when closeIdle has closed the connection
				defer close(end)
				_, _ = theirs.Read(make([]byte, 1)) // EOF
			}()
			return end
		}
		began := time.Now()
		served, fresh := ended(http.StateNew, http.StateActive, http.StateIdle), ended(http.StateNew)
		<-served
		if after := time.Since(began); after != idleGrace {
			t.Errorf("a connection that was served before is closed after %v, want %v", after, idleGrace)
		}
		<-fresh
		if after := time.Since(began); after != freshGrace {
			t.Errorf("a connection on which nothing has come is closed after %v, want %v", after, freshGrace)
		}
	})
}
