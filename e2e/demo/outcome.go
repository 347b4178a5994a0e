package main

import (
	"fmt"
	"strings"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// An outcome is what the story has come to.
type outcome struct {
	upgrades  int
	upgrading tally // with what came before the first

	refused  bool // the broken program was
	unharmed bool // the same process as before served after that
	refusing tally

	crash       aftermath
	unreachable int // requests that got no connection, in the whole story
	all         tally
}

// A tally is requests that were answered and such that were lost.
type tally struct{ answered, lost int }

func (t *tally) add(r load.Report) {
	total := r.Total()
	t.answered += total.Answered
	t.lost += total.Failed() + total.Abandoned
}

func (t tally) String() string {
	return fmt.Sprintf("%s answered, %s lost", count(t.answered), count(t.lost))
}

// An aftermath is what was lost after a kill: with the process, as it had the request
// in work or its connection in hand, or for another reason.
type aftermath struct{ byKill, others int }

// A claim is what the demo is there to show.
type claim struct {
	text string
	held bool
}

func (o outcome) claims() []claim {
	return []claim{
		{fmt.Sprintf("%d of %d upgrades: %v", o.upgrades, upgradeCount, o.upgrading),
			o.upgrades == upgradeCount && o.upgrading.answered > 0 && o.upgrading.lost == 0},
		{fmt.Sprintf("a broken program refused, the old one serving: %v", o.refusing),
			o.refused && o.unharmed && o.refusing.answered > 0 && o.refusing.lost == 0},
		{fmt.Sprintf("the port open throughout: %s clients refused or left waiting", count(o.unreachable)),
			o.unreachable == 0 && o.all.answered > 0},
		{fmt.Sprintf("the crash survived: %s lost with the killed process, %s besides", count(o.crash.byKill), count(o.crash.others)),
			o.crash.others == 0},
	}
}

// good reports whether all claims are true.
func (o outcome) good() bool {
	for _, c := range o.claims() {
		if !c.held {
			return false
		}
	}
	return true
}

func (o outcome) String() string {
	var b strings.Builder
	for _, c := range o.claims() {
		verdict := "ok"
		if !c.held {
			verdict = "FAILED"
		}
		fmt.Fprintf(&b, "  %-6s  %s\n", verdict, c.text)
	}
	return b.String()
}

// unreachable returns how many requests got no connection.
func unreachable(s load.Stats) int {
	return s.Failures[load.Refused] + s.Failures[load.DialTimeout] + s.Failures[load.DialFailed]
}
