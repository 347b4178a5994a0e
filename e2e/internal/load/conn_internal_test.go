package load

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// The instants between "idle" and "written" cannot be hit from outside.

func TestNothingIsWrittenOnceTheReaderHasSeenTheClose(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	k := newConn(newClass(Class{Conns: 1}, Config{}), client)
	defer k.hangUp()
	k.uses = 1
	if batch := k.waiting(io.EOF); len(batch) > 0 {
		t.Fatalf("waiting() = %v on an idle connection, want none", batch)
	}
	// The peer does not read: a write would block until the deadline.
	err := k.write([]*request{{deadline: time.Now().Add(time.Minute)}})
	if !errors.Is(err, errGone) {
		t.Errorf("write() = %v, want %v", err, errGone)
	}
	if s := k.class.tally.snapshot(); s.ClosedIdle != 1 {
		t.Errorf("closed idle = %d, want 1", s.ClosedIdle)
	}
}

func TestCloseSeenAfterTheWriteIsTheRequestsFate(t *testing.T) {
	client, server := net.Pipe()
	k := newConn(newClass(Class{Conns: 1}, Config{}), client)
	defer k.hangUp()
	k.uses = 1
	q := &request{deadline: time.Now().Add(time.Minute)}
	go func() { // ends with the first byte; write waits for it
		server.Read(make([]byte, 1))
		server.Close()
	}()
	if err := k.write([]*request{q}); err != nil {
		t.Errorf("write() = %v, want none: a byte was written", err)
	}
	if got := k.waiting(io.EOF); len(got) != 1 || got[0] != q {
		t.Errorf("waiting() = %v, want the request", got)
	}
}

func TestLatenessOfTheClientCountsAsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { // ends with the answer; the bubble waits
				defer server.Close()
				server.Read(make([]byte, 1<<10))
				io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}()
			return client, nil
		}
		c := newClass(Class{Rate: 10, Count: 20}, Config{Dial: dial})
		c.run(t.Context(), t.Context(), time.Now().Add(-time.Second), func() {}) // as if it had been stopped for that long
		s := c.tally.snapshot()
		if s.Answered != 20 || s.Latency.Max() != time.Second || s.MaxLate != time.Second {
			t.Errorf("answered, longest, late = %d, %v, %v, want 20, 1s, 1s", s.Answered, s.Latency.Max(), s.MaxLate)
		}
		if got := s.Latency.Quantile(0.75); got < 500*time.Millisecond || got > 520*time.Millisecond {
			t.Errorf("latency at 0.75 = %v, want 500ms", got)
		}
	})
}
