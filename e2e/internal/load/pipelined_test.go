package load_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// pipelined is a class of one connection with four requests at a time, each four
// seconds of virtual time.
func pipelined(count int) []load.Class {
	return []load.Class{{Name: "pipelined", Rate: 1, Count: count, Conns: 1, Pipeline: 4}}
}

func TestPipelinedRequestsAreAnsweredOnOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := finish(t, load.Start(t.Context(), load.Config{Dial: inMemory(wellBehaved), Classes: pipelined(12)})).Classes[0]
		wantBalance(t, s)
		if s.Answered != 12 || s.Dials != 1 || s.Unsolicited != 0 {
			t.Errorf("answered, dials, unsolicited = %d, %d, %d, want 12, 1, 0", s.Answered, s.Dials, s.Unsolicited)
		}
	})
}

func TestCloseAfterOneOfSeveralPipelinedRequestsLosesTheOthers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		second  func(p *peer) // the answer to the second request of each connection
		want    map[load.Kind]int
		answers int
	}{
		{"announced", func(p *peer) {
			fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(line), line)
		}, map[load.Kind]int{load.Unserved: 2}, 2},
		{"not announced", func(p *peer) { p.answer(line) }, map[load.Kind]int{load.NoAnswer: 2}, 2},
		{"within the answer", func(p *peer) { fmt.Fprint(p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") },
			map[load.Kind]int{load.Truncated: 3}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial := inMemory(func(p *peer) {
					if p.request() {
						p.answer(line)
					}
					if p.request() {
						tt.second(p)
					}
				})
				s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: pipelined(4)})).Classes[0]
				wantFailures(t, s, tt.want)
				wantBalance(t, s)
				if s.Answered != tt.answers || s.Closed() != 1 {
					t.Errorf("answered, closed = %d, %d, want %d, 1", s.Answered, s.Closed(), tt.answers)
				}
			})
		})
	}
}

func TestConnectionsAreOpenedAheadAndUsedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		run := load.Start(t.Context(), load.Config{Dial: inMemory(wellBehaved), Classes: []load.Class{
			{Name: "idle", Rate: 1, Count: 5, Conns: 100, Ahead: true},
		}})
		await(t, run.Opened(), "opening of all connections")
		if s := run.Report().Classes[0]; s.Dials != 100 || s.Answered < 100 || time.Since(began) > time.Second {
			t.Errorf("dials, answered = %d, %d after %v, want 100, at least 100 within a second", s.Dials, s.Answered, time.Since(began))
		}
		if s := finish(t, run).Classes[0]; s.Dials != 100 || s.Answered != 105 {
			t.Errorf("dials, answered = %d, %d, want 100, 105", s.Dials, s.Answered)
		}
	})
}

// TestConnectionsThatCannotBeOpenedAheadHoldNobody up: the others go on.
func TestConnectionsThatCannotBeOpenedAheadHoldNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			if p.n >= 5 {
				wellBehaved(p)
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
			{Name: "idle", Rate: 1, Count: 20, Conns: 10, Ahead: true},
		}})).Classes[0]
		if s.Failed() != 5 || s.Answered != 25 || s.Dials != 15 {
			t.Errorf("failed, answered, dials = %d, %d, %d, want 5, 25, 15", s.Failed(), s.Answered, s.Dials)
		}
	})
}
