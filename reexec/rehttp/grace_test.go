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
		tr.hurried.Store(true)
		ended := func(states ...http.ConnState) <-chan struct{} {
			ours, theirs := net.Pipe()
			for _, s := range states {
				tr.note(ours, s)
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

// net/http reports a request a moment after it has read it. A busy machine may make a
// stopping process close idle connections in that moment.
func TestARequestThatWasJustReadIsNotCut(t *testing.T) {
	for _, c := range []struct {
		sent string
		shut bool
	}{
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst", false},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost:", true}, // the client may never send the rest
	} {
		client, own := pair(t)
		own.t.note(own, http.StateNew)
		if _, err := client.Write([]byte(c.sent)); err != nil {
			t.Fatal(err)
		}
		if n, err := own.Read(make([]byte, 4096)); n != len(c.sent) || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if got := own.shut(); got != c.shut {
			t.Errorf("reading of %q was shut: %v, want %v", c.sent, got, c.shut)
		}
		if own.t.note(own, http.StateActive); own.shut() {
			t.Errorf("reading of %q was shut after its request had begun", c.sent)
		}
	}
}

// The second request was read with the first.
func TestABufferedRequestIsNotCut(t *testing.T) {
	client, own := pair(t)
	own.t.note(own, http.StateNew)
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	if _, err := client.Write([]byte(request + request)); err != nil {
		t.Fatal(err)
	}
	if n, err := own.Read(make([]byte, 4096)); n != 2*len(request) || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	for _, state := range []http.ConnState{http.StateActive, http.StateIdle, http.StateActive} {
		if own.t.note(own, state); own.shut() {
			t.Errorf("reading was shut in %v", state)
		}
	}
	if own.t.note(own, http.StateIdle); !own.shut() {
		t.Error("reading was not shut after the last request")
	}
}
