//go:build linux

package rehttp

import (
	"net/http"
	"testing"
)

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
		own.t.onState(own, http.StateNew)
		if _, err := client.Write([]byte(c.sent)); err != nil {
			t.Fatal(err)
		}
		if n, err := own.Read(make([]byte, 4096)); n != len(c.sent) || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if got := own.shut(); got != c.shut {
			t.Errorf("reading of %q was shut: %v, want %v", c.sent, got, c.shut)
		}
		if own.t.onState(own, http.StateActive); own.shut() {
			t.Errorf("reading of %q was shut after its request had begun", c.sent)
		}
	}
}

// The second request was read with the first.
func TestABufferedRequestIsNotCut(t *testing.T) {
	client, own := pair(t)
	own.t.onState(own, http.StateNew)
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	if _, err := client.Write([]byte(request + request)); err != nil {
		t.Fatal(err)
	}
	if n, err := own.Read(make([]byte, 4096)); n != 2*len(request) || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	for _, state := range []http.ConnState{http.StateActive, http.StateIdle, http.StateActive} {
		if own.t.onState(own, state); own.shut() {
			t.Errorf("reading was shut in %v", state)
		}
	}
	if own.t.onState(own, http.StateIdle); !own.shut() {
		t.Error("reading was not shut after the last request")
	}
}
