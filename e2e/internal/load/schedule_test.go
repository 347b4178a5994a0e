package load_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

func TestPauseOfTheServerShowsInTheLatencyOfAllThatWasDue(t *testing.T) {
	t.Parallel()
	const due = 51 // the last is due 500 ms after the first
	var arrived atomic.Int64
	resume := make(chan struct{})
	addr, _ := listen(t, func(p *peer) {
		for p.request() {
			if arrived.Add(1) == due {
				close(resume)
			}
			<-resume
			p.answer(line)
		}
	})
	s := finish(t, load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Name: "kept", Rate: 100, Count: due, Conns: 4, Timeout: time.Minute},
	}})).Classes[0]
	if s.Answered != due {
		t.Fatalf("answered = %d, want %d: %v", s.Answered, due, s.First)
	}
	// The server went on at 500 ms or later: these are floors, however slow the machine.
	for _, want := range []struct {
		q     float64
		floor time.Duration
	}{{0.50, 240 * time.Millisecond}, {0.99, 490 * time.Millisecond}, {1, 500 * time.Millisecond}} {
		if got := s.Latency.Quantile(want.q); got < want.floor {
			t.Errorf("latency at %v = %v, want at least %v", want.q, got, want.floor)
		}
	}
}

func TestLatencyCountsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := time.After(500 * time.Millisecond)
		resume := make(chan struct{})
		go func() { <-pause; close(resume) }() // ends after half a second of virtual time; the bubble waits
		pipes := inMemory(wellBehaved)
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-resume // the server's backlog is full, say
			return pipes(ctx, network, addr)
		}
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
			{Name: "new", Rate: 100, Count: 100},
		}})).Classes[0]
		if s.Answered != 100 || s.Failed() != 0 {
			t.Fatalf("answered, failed = %d, %d, want 100, 0", s.Answered, s.Failed())
		}
		// 51 were due during the pause and waited 500, 490, 480 ... 0 ms, 49 did not wait.
		for _, want := range []struct {
			q     float64
			exact time.Duration
		}{{1, 500 * time.Millisecond}, {0.99, 490 * time.Millisecond}, {0.75, 250 * time.Millisecond}, {0.50, 0}} {
			got := s.Latency.Quantile(want.q)
			if got < want.exact || got > want.exact+want.exact/32+time.Microsecond {
				t.Errorf("latency at %v = %v, want %v or up to a bucket more", want.q, got, want.exact)
			}
		}
		if s.MaxLate != 0 {
			t.Errorf("the client itself was late by %v, want 0", s.MaxLate)
		}
	})
}

func TestRequestsStartAtAConstantRateUntilTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := finish(t, load.Start(t.Context(), load.Config{
			Dial:  inMemory(wellBehaved),
			Limit: 9994 * time.Millisecond,
			Classes: []load.Class{
				{Name: "kept", Rate: 400, Conns: 32},
				{Name: "new", Rate: 3},
				{Name: "off"},
			},
		}))
		for i, want := range []int{3998, 30, 0} {
			if s := r.Classes[i]; s.Sent != want || s.Answered != want {
				t.Errorf("%s: sent, answered = %d, %d in %v, want %d", s.Name, s.Sent, s.Answered, r.Elapsed, want)
			}
		}
		if got := r.Classes[0].Dials; got != 32 {
			t.Errorf("dials of the class that keeps 32 = %d, want 32", got)
		}
		if r.Elapsed != 9994*time.Millisecond || time.Since(began) != r.Elapsed {
			t.Errorf("the run took %v, want the limit of 9.994s", r.Elapsed)
		}
	})
}

func TestStopWaitsForTheAnswersThatAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			for p.request() {
				<-time.After(5 * time.Second)
				p.answer(line)
			}
		})
		run := load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{{Name: "slow", Rate: 1, Conns: 2}}})
		<-time.After(2500 * time.Millisecond)
		if s := run.Report().Classes[0]; s.Sent != 3 || s.Pending != 3 {
			t.Errorf("sent, pending = %d, %d before Stop, want 3, 3", s.Sent, s.Pending)
		}
		r := run.Stop()
		if s := r.Classes[0]; s.Sent != 3 || s.Answered != 3 || s.Failed() != 0 {
			t.Errorf("sent, answered, failed = %d, %d, %d, want 3, 3, 0", s.Sent, s.Answered, s.Failed())
		}
		if r.Elapsed != 7*time.Second {
			t.Errorf("the run took %v, want 7s: the third request was due at 2s", r.Elapsed)
		}
		if again := run.Stop(); again.Elapsed != r.Elapsed {
			t.Errorf("second Stop: elapsed = %v, want %v", again.Elapsed, r.Elapsed)
		}
	})
}

func TestStopWaitsNoLongerThanTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory((*peer).untilClosed)
		run := load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{{Name: "dark", Rate: 1, Timeout: 3 * time.Second}}})
		<-time.After(500 * time.Millisecond)
		r := run.Stop()
		wantFailures(t, r.Classes[0], map[load.Kind]int{load.Timeout: 1})
		if r.Elapsed != 3*time.Second {
			t.Errorf("the run took %v, want the timeout of 3s", r.Elapsed)
		}
	})
}

func TestEndOfTheContextAbandonsWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		dial := inMemory(func(p *peer) {
			if p.n == 0 {
				wellBehaved(p)
			}
			p.untilClosed()
		})
		r := finish(t, load.Start(ctx, load.Config{Dial: dial, Classes: []load.Class{{Name: "cut", Rate: 1, Conns: 3}}}))
		s := r.Classes[0]
		wantBalance(t, s)
		if s.Answered != 1 || s.Abandoned != 2 || s.Failed() != 0 || r.Elapsed != 2500*time.Millisecond {
			t.Errorf("answered, abandoned, failed = %d, %d, %d in %v, want 1, 2, 0 in 2.5s", s.Answered, s.Abandoned, s.Failed(), r.Elapsed)
		}
	})
}

func TestConnectionThatComesAfterTheEndIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		pipes := inMemory((*peer).untilClosed)
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-ctx.Done()
			<-time.After(time.Second)
			return pipes(ctx, network, addr)
		}
		r := finish(t, load.Start(ctx, load.Config{Dial: dial, Classes: []load.Class{{Name: "late", Rate: 1, Count: 1}}}))
		if s := r.Classes[0]; s.Abandoned != 1 || r.Elapsed != 2*time.Second {
			t.Errorf("abandoned = %d in %v, want 1 in 2s", s.Abandoned, r.Elapsed)
		}
	})
}

func TestMoreThanMaxPendingAreNotSentButCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		dial := inMemory(func(p *peer) {
			for p.request() {
				requests.Add(1)
				<-time.After(30 * time.Second)
				p.answer(line)
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
			{Name: "full", Rate: 1, Count: 5, MaxPending: 2, Timeout: time.Hour},
		}})).Classes[0]
		wantFailures(t, s, map[load.Kind]int{load.Saturated: 3})
		if s.Answered != 2 || requests.Load() != 2 || s.Dials != 2 {
			t.Errorf("answered, read by the server, dials = %d, %d, %d, want 2 each", s.Answered, requests.Load(), s.Dials)
		}
	})
}
