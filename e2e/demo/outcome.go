package main

import (
	"fmt"
	"strings"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// An outcome is the result of the story.
type outcome struct {
	upgrades  int
	upgrading tally // includes the time before the first upgrade

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

// An aftermath counts the requests that were lost after a kill: those that the process
// was answering or whose connection it had, and others.
type aftermath struct{ byKill, others int }

// A claim is a statement that the demo proves.
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
