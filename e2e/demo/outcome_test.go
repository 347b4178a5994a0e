package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// fine is the outcome of a story in which all went well.
func fine() outcome {
	return outcome{
		upgrades:  upgradeCount,
		upgrading: tally{answered: 6500},
		refused:   true,
		unharmed:  true,
		refusing:  tally{answered: 1300},
		crash:     aftermath{byKill: 17},
		all:       tally{answered: 10000, lost: 17},
	}
}

func TestOutcomeIsGoodOnlyIfNothingWasLost(t *testing.T) {
	if o := fine(); !o.good() || strings.Contains(o.String(), "FAILED") {
		t.Errorf("an outcome in which all went well is not good:\n%v", o)
	}
	for what, spoil := range map[string]func(*outcome){
		"an upgrade is missing":                     func(o *outcome) { o.upgrades-- },
		"an upgrade lost a request":                 func(o *outcome) { o.upgrading.lost = 1 },
		"no request was made during the upgrades":   func(o *outcome) { o.upgrading = tally{} },
		"the broken program was accepted":           func(o *outcome) { o.refused = false },
		"another process serves after that":         func(o *outcome) { o.unharmed = false },
		"the broken program cost a request":         func(o *outcome) { o.refusing.lost = 1 },
		"no request was made meanwhile":             func(o *outcome) { o.refusing = tally{} },
		"the port refused a client":                 func(o *outcome) { o.unreachable = 1 },
		"nobody tried the port":                     func(o *outcome) { o.all = tally{} },
		"the crash cost more than what was in work": func(o *outcome) { o.crash.others = 1 },
	} {
		o := fine()
		spoil(&o)
		if text := o.String(); o.good() || strings.Count(text, "FAILED") != 1 {
			t.Errorf("%s: good() = %v, want false and one claim that failed:\n%s", what, o.good(), text)
		}
	}
}

func TestTallyCountsAbandonedRequestsAsLost(t *testing.T) {
	var s load.Stats
	s.Answered, s.Abandoned, s.Failures[load.Timeout] = 5, 2, 1
	var got tally
	got.add(load.Report{Classes: []load.Stats{s, s}})
	if want := (tally{answered: 10, lost: 6}); got != want {
		t.Errorf("add of two classes made %+v, want %+v", got, want)
	}
}

func TestBlameSeparatesTheKillFromOtherLosses(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	k := killing{began: at(100), done: at(110), over: at(300)}
	for _, tt := range []struct {
		name    string
		failure load.Failure
		byKill  bool
	}{
		{"in work", load.Failure{Kind: load.NoAnswer, Due: at(50), At: at(105)}, true},
		{"cut short", load.Failure{Kind: load.Truncated, Due: at(50), At: at(105)}, true},
		{"on a connection of the killed process", load.Failure{Kind: load.Reset, Due: at(111), At: at(112), Reused: true}, true},
		{"before the kill", load.Failure{Kind: load.Reset, Due: at(50), At: at(99)}, false},
		{"connected after it", load.Failure{Kind: load.Reset, Due: at(120), At: at(130)}, false},
		{"on a connection of the next process", load.Failure{Kind: load.Reset, Due: at(310), At: at(320), Reused: true}, false},
		{"refused", load.Failure{Kind: load.Refused, Due: at(120), At: at(120)}, false},
		{"waited in vain", load.Failure{Kind: load.Timeout, Due: at(50), At: at(10050)}, false},
	} {
		s := load.Stats{First: []load.Failure{tt.failure}}
		s.Failures[tt.failure.Kind] = 1
		want := aftermath{others: 1}
		if tt.byKill {
			want = aftermath{byKill: 1}
		}
		if got := k.blame(load.Report{Classes: []load.Stats{s}}); got != want {
			t.Errorf("a request %s: %+v, want %+v", tt.name, got, want)
		}
	}
}

func TestBlameCountsWhatHasNoDetails(t *testing.T) {
	var s load.Stats
	s.Failures[load.NoAnswer], s.Failures[load.Refused], s.Abandoned = 20, 2, 1
	if got, want := (killing{}).blame(load.Report{Classes: []load.Stats{s}}), (aftermath{byKill: 20, others: 3}); got != want {
		t.Errorf("blame = %+v, want %+v", got, want)
	}
}

func TestUnreachableIsEveryMissingConnection(t *testing.T) {
	var s load.Stats
	for kind := range s.Failures {
		s.Failures[kind] = 1
	}
	if got := unreachable(s); got != 3 {
		t.Errorf("unreachable = %d of one failure of each kind, want the 3 of dialling", got)
	}
}
