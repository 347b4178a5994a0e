package load_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

func TestFiguresOfAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var upgraded atomic.Bool
		dial := inMemory(func(p *peer) {
			for p.request() {
				if upgraded.Load() {
					<-time.After(100 * time.Millisecond)
					p.answer("version=v2 generation=2 pid=2")
					return
				}
				<-time.After(300 * time.Millisecond)
				p.answer(line)
			}
		})
		run := load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(10, 1)})
		<-time.After(4500 * time.Millisecond)
		before := run.Report()
		upgraded.Store(true)
		finish(t, run)
		between := run.Report().Since(before)
		s := between.Classes[0]
		if s.Sent != 5 || s.Answered != 5 || s.Failed() != 0 {
			t.Errorf("sent, answered, failed = %d, %d, %d, want 5, 5, 0", s.Sent, s.Answered, s.Failed())
		}
		if want := map[string]int{"v2": 5}; !maps.Equal(s.Versions, want) {
			t.Errorf("versions = %v, want %v", s.Versions, want)
		}
		if want := map[string]int{"2": 5}; !maps.Equal(s.Generations, want) {
			t.Errorf("generations = %v, want %v", s.Generations, want)
		}
		if got := s.Latency.Max(); got < 100*time.Millisecond || got > 104*time.Millisecond {
			t.Errorf("longest latency of the interval = %v, want 100ms, not the 300ms before it", got)
		}
		if want := 4600 * time.Millisecond; between.Elapsed != want {
			t.Errorf("the interval took %v, want %v", between.Elapsed, want)
		}
		if got := before.Classes[0].Versions; !maps.Equal(got, map[string]int{"v1": 5}) {
			t.Errorf("versions of the first report = %v, want them unchanged", got)
		}
	})
}

func TestIntervalKeepsOnlyItsOwnFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			if p.request() && p.n != 1 && p.n != 4 {
				p.answer(line)
			}
		})
		run := load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(6, 0)})
		<-time.After(2500 * time.Millisecond)
		before := run.Report()
		s := finish(t, run).Since(before).Total()
		wantFailures(t, s, map[load.Kind]int{load.NoAnswer: 1})
		if len(s.First) != 1 || s.First[0].Due.Sub(before.Began) != 4*time.Second {
			t.Errorf("failures of the interval = %v, want the one that was due after 4s", s.First)
		}
	})
}

func TestReportTellsEverythingThatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			if p.request() && p.n != 1 {
				p.answer(line)
			}
		})
		text := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
			{Name: "first", Rate: 1, Count: 3},
		}})).String()
		for _, want := range []string{
			"first     3         2       1        0", "total     3         2       1        0", "in 2s",
			"by version: v1 2", "by generation: 1 2", "closed without answer: 1",
			"first: closed without answer after 0s, pipe (new): EOF",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("report has no %q:\n%s", want, text)
			}
		}
	})
}

// TestGoServerLosesNothingWhileItServes is the other half of the proof: a server
// that does nothing wrong has no failures, with all classes at once.
func TestGoServerLosesNothingWhileItServes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		if wantClose := n == 100_000; r.Close != wantClose {
			t.Errorf("request of %d bytes says Connection: close = %v, want %v", n, r.Close, wantClose)
		}
		fmt.Fprintf(w, "%s bytes=%d\n", line, n)
	})}
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(ln) }() // ends with Close; the cleanup waits
	t.Cleanup(func() { srv.Close(); <-served })

	run := load.Start(t.Context(), load.Config{Addr: ln.Addr().String(), Classes: []load.Class{
		{Name: "kept", Rate: 400, Count: 200, Conns: 8, Body: []byte("hello"), Timeout: time.Minute},
		{Name: "new", Rate: 250, Count: 125, Body: make([]byte, 100_000), Timeout: time.Minute},
		{Name: "get", Rate: 50, Count: 25, Conns: 1, Method: http.MethodGet, Timeout: time.Minute},
	}})
	for range 10 {
		wantBalance(t, run.Report().Total())
	}
	s := finish(t, run).Total()
	if s.Sent != 350 || s.Answered != 350 || s.Failed() != 0 || s.Versions["v1"] != 350 || s.ClosedIdle != 0 {
		t.Errorf("a good server has lost something:\n%v", run.Report())
	}
}
