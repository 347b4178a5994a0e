package load_test

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// everySecond is a class whose requests are a second of virtual time apart, so
// that all is at rest between two of them.
func everySecond(count, conns int) []load.Class {
	return []load.Class{{Name: "kept", Rate: 1, Count: count, Conns: conns}}
}

func TestServerThatClosesKeptConnectionsUnderARequestLosesIt(t *testing.T) {
	const wanted = 20
	var dropped atomic.Int64
	enough := make(chan struct{})
	addr, _ := listen(t, func(p *peer) {
		if !p.request() {
			return
		}
		p.answer(line)
		if _, err := p.br.ReadByte(); err == nil { // the rest is unread: the close is a reset
			if dropped.Add(1) == wanted {
				close(enough)
			}
		}
	})
	run := load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Name: "kept", Rate: 100, Conns: 4, Timeout: time.Minute}, // so few that they are kept
	}})
	await(t, enough, "twentieth request on a kept connection")
	s := run.Stop().Classes[0]
	want := int(dropped.Load())
	// The server reads all that is there before it looks at the first byte.
	if got := s.Failures[load.Reset] + s.Failures[load.NoAnswer]; got != want || s.Failed() != want {
		t.Errorf("failures = %v, want %d", s.Failures, want)
	}
	if s.ClosedBusy != want || s.ClosedIdle != 0 {
		t.Errorf("closed under a request, idle = %d, %d, want %d, 0", s.ClosedBusy, s.ClosedIdle, want)
	}
	wantBalance(t, s)
}

func TestServerThatClosesIdleConnectionsLosesNothingThatIsNotCounted(t *testing.T) {
	const closes = 20
	kept := make(chan struct{})
	var once sync.Once
	addr, _ := listen(t, func(p *peer) {
		if !p.request() {
			return
		}
		p.answer(line)
		if p.n < closes {
			return
		}
		// With one connection to keep, one that is used again is the only one.
		for p.request() {
			p.answer(line)
			once.Do(func() { close(kept) })
		}
	})
	run := load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Name: "kept", Rate: 100, Conns: 1, Timeout: time.Minute}, // so few that there is one at a time
	}})
	await(t, kept, "connection that was kept")
	s := run.Stop().Classes[0]
	wantBalance(t, s)
	if s.ClosedBusy != s.Failed() || s.ClosedIdle+s.ResetIdle+s.ClosedBusy > closes {
		t.Errorf("idle %d and %d, busy %d, failed %d, want at most %d closes and each failure to be one",
			s.ClosedIdle, s.ResetIdle, s.ClosedBusy, s.Failed(), closes)
	}
}

func TestCloseWhileIdleIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			if p.request() {
				p.answer(line)
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(10, 1)})).Classes[0]
		if s.Answered != 10 || s.Failed() != 0 || s.Dials != 10 || s.ClosedBusy != 0 {
			t.Errorf("answered, failed, dials, closed busy = %d, %d, %d, %d, want 10, 0, 10, 0",
				s.Answered, s.Failed(), s.Dials, s.ClosedBusy)
		}
		// At the end of the run server and client close at the same time.
		if s.ClosedIdle != 9 && s.ClosedIdle != 10 {
			t.Errorf("closed idle = %d, want 9 or 10", s.ClosedIdle)
		}
	})
}

func TestCloseUnderARequestIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			if p.request() {
				p.answer(line)
				p.Read(make([]byte, 1)) // one byte of the second request is taken
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(10, 1)})).Classes[0]
		wantFailures(t, s, map[load.Kind]int{load.NoAnswer: 5})
		if s.Answered != 5 || s.ClosedBusy != 5 || s.ClosedIdle != 0 || s.Dials != 5 {
			t.Errorf("answered, busy, idle, dials = %d, %d, %d, %d, want 5, 5, 0, 5", s.Answered, s.ClosedBusy, s.ClosedIdle, s.Dials)
		}
		for _, f := range s.First {
			if !f.Reused {
				t.Errorf("%v: is said to be on a new connection", f)
			}
		}
	})
}

// A blindConn does not let its reader see the server's close until a write has
// shown it.
type blindConn struct {
	net.Conn
	reads int
	wrote chan struct{}
}

func (b *blindConn) Read(p []byte) (int, error) {
	if b.reads++; b.reads > 1 {
		<-b.wrote
	}
	return b.Conn.Read(p)
}

func (b *blindConn) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if err != nil {
		close(b.wrote)
	}
	return n, err
}

func TestRequestOfWhichNoByteWasWrittenGoesToAnotherConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		pipes := inMemory(func(p *peer) {
			if p.request() {
				requests.Add(1)
				p.answer(line)
			}
		})
		dials := 0
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := pipes(ctx, network, addr)
			if dials++; dials == 1 {
				c = &blindConn{Conn: c, wrote: make(chan struct{})}
			}
			return c, err
		}
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(2, 1)})).Classes[0]
		if s.Answered != 2 || s.Failed() != 0 || s.ResetIdle != 1 || s.Dials != 2 || requests.Load() != 2 {
			t.Errorf("answered, failed, reset idle, dials = %d, %d, %d, %d with %d requests read, want 2, 0, 1, 2 with 2",
				s.Answered, s.Failed(), s.ResetIdle, s.Dials, requests.Load())
		}
	})
}

func TestBytesOnAnIdleConnectionAreUnsolicited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			if !p.request() {
				return
			}
			p.answer(line)
			if p.n == 0 {
				p.answer("a second answer")
			}
			p.untilClosed()
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(2, 1)})).Classes[0]
		if s.Unsolicited != 1 || s.Failed() != 0 || s.Dials != 2 {
			t.Errorf("unsolicited, failed, dials = %d, %d, %d, want 1, 0, 2", s.Unsolicited, s.Failed(), s.Dials)
		}
	})
}

func TestConnectionIdleForLongestIsUsedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []int
		dial := inMemory(func(p *peer) {
			for p.request() {
				mu.Lock()
				order = append(order, p.n)
				mu.Unlock()
				p.answer(line)
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(9, 3)})).Classes[0]
		if want := []int{0, 1, 2, 0, 1, 2, 0, 1, 2}; !reflect.DeepEqual(order, want) {
			t.Errorf("connections used = %v, want %v", order, want)
		}
		if s.Dials != 3 {
			t.Errorf("dials = %d, want 3", s.Dials)
		}
	})
}

func TestConnectionMayBeIdleForLongerThanTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := finish(t, load.Start(t.Context(), load.Config{Dial: inMemory(wellBehaved), Classes: []load.Class{
			{Name: "kept", Rate: 1, Count: 3, Conns: 1, Timeout: 100 * time.Millisecond},
		}})).Classes[0]
		if s.Answered != 3 || s.Dials != 1 || s.ResetIdle != 0 {
			t.Errorf("answered, dials, reset idle = %d, %d, %d, want 3, 1, 0", s.Answered, s.Dials, s.ResetIdle)
		}
	})
}

func TestConnectionCloseIsHeededAndTheConnectionReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closedByClient atomic.Int64
		dial := inMemory(func(p *peer) {
			if !p.request() {
				return
			}
			fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(line), line)
			if !p.request() { // blocks: the server leaves the close to the client
				closedByClient.Add(1)
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(5, 2)})).Classes[0]
		if s.Answered != 5 || s.Dials != 5 || s.ClosedLast != 5 || s.Closed() != 5 || s.Failed() != 0 {
			t.Errorf("answered, dials, closed last, closed, failed = %d, %d, %d, %d, %d, want 5, 5, 5, 5, 0",
				s.Answered, s.Dials, s.ClosedLast, s.Closed(), s.Failed())
		}
		synctest.Wait()
		if got := closedByClient.Load(); got != 5 {
			t.Errorf("the client closed %d connections, want 5", got)
		}
	})
}

func TestBusyConnectionsDoNotDelayRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			for p.request() {
				<-time.After(2500 * time.Millisecond)
				p.answer(line)
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(6, 1)})).Classes[0]
		if got := s.Latency.Max(); got != 2500*time.Millisecond {
			t.Errorf("longest latency = %v, want the server's 2.5s: no request waits for a connection", got)
		}
		// While more are open than are kept, each is closed after its answer.
		if s.Answered != 6 || s.Dials != 6 {
			t.Errorf("answered, dials = %d, %d, want 6, 6", s.Answered, s.Dials)
		}
	})
}
