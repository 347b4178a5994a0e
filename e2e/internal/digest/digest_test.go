package digest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

const ms = time.Millisecond

// sample has 100 quick requests, one a second, with an upgrade after 50 s and a kill after
// 80 s, and slow ones.
func sample() *record.Report {
	r := &record.Report{Loads: []record.Load{{Name: "quick"}, {Name: "slow"}}, Elapsed: 100 * time.Second, Events: []record.Event{
		{Kind: record.Deploy, At: 49 * time.Second},
		{Kind: record.Reload, At: 50 * time.Second, Done: 50100 * ms, Drained: 53 * time.Second, Before: 1, After: 2},
		{Kind: record.Reload, At: 60 * time.Second, Done: 60100 * ms, Before: 2, After: 2, Error: "exit status 1"},
		{Kind: record.Kill, At: 80 * time.Second, Done: 80100 * ms, Before: 2, After: 3},
	}}
	for i := range 100 {
		generation := 1
		if i > 50 {
			generation = 2
		}
		q := record.Request{Due: time.Duration(i) * time.Second, Took: ms, PID: generation, Generation: generation}
		switch i {
		case 51:
			q.Took = 20 * ms
		case 60:
			q = record.Request{Due: q.Due, Took: ms, Failure: record.Refused, Error: "connection refused"}
		case 80:
			q = record.Request{Due: q.Due, Took: ms, Failure: record.Reset, Error: "connection reset"}
		}
		r.Requests = append(r.Requests, q, record.Request{Load: 1, Due: q.Due, Took: 2 * time.Second, PID: generation, Generation: generation})
	}
	return r
}

func TestLostRequestsAreCountedApartFromTheOnesOfAKill(t *testing.T) {
	d := digest.Of(sample())
	if d.Requests != 200 || d.Lost != 2 || d.Killed != 1 || d.Upgrades != 1 || d.Undone != 1 || d.Kills != 1 {
		t.Errorf("got %+v, want 2 of 200 lost, one by the kill, 1 upgrade and 1 refused", d)
	}
	want := "1 of 200 requests lost in 1 upgrade, 1 refused; 1 kill cost 1"
	if got := d.Verdict(); got != want {
		t.Errorf("Verdict() = %q, want %q", got, want)
	}
	if len(d.Failures) != 2 || d.Failures[0].Count != 1 || d.Failures[0].First != "connection refused" {
		t.Errorf("failures = %+v, want one of each kind", d.Failures)
	}
}

func TestLatenciesDuringUpgradesAreApart(t *testing.T) {
	d := digest.Of(sample())
	if got := d.All.During; got.Max != 20*ms || got.Count != 3 { // due at 50, 51 and 52 s
		t.Errorf("during = %+v, want three answers of the upgrade, of 20ms at most", got)
	}
	if got := d.All.Steady; got.Max != ms || got.Count != 95 {
		t.Errorf("steady = %+v, want the other quick answers, of 1ms", got)
	}
	if got := d.Loads[1].Crash; got.Max != 2*time.Second || got.Count != 1 { // due at 80 s
		t.Errorf("after a kill = %+v, want one answer of the slow load", got)
	}
	if got := d.Loads[1].Steady.P50; got != 2*time.Second {
		t.Errorf("the slow load has %v, want 2s", got)
	}
	if g := d.Generations; len(g) != 2 || g[0].Requests != 102 || g[1].Requests != 96 {
		t.Errorf("generations = %+v, want 102 and 96 answers", g)
	}
	for _, want := range []string{"quick", "all quick ones", "20 ms", "connection reset"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("no %q in:\n%s", want, d)
		}
	}
}
