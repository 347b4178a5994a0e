package proof

import (
	"fmt"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// afterDeath is the time between the end of a process and that of its connections, as clients
// notice it. A request that a client writes meanwhile on a connection of a killed process is
// lost with it.
const afterDeath = 250 * time.Millisecond

// excused reports whether a request was lost with a killed process: the process had it in
// work, or it went out on a connection of that process.
func (s *scene) excused(q record.Request) bool {
	if s.stopping(q) {
		return true
	}
	for _, e := range s.events {
		if e.Kind != record.Kill || q.End() < e.At {
			continue
		}
		switch q.Failure { // a handshake, too, ends with the process
		case record.Reset, record.EOF, record.Truncated, record.Unserved, record.Handshake:
		case record.Timeout: // a datagram that the process had read
			if !q.Datagram {
				continue
			}
		default:
			continue
		}
		if q.Due <= e.Done || q.Kept && q.Due <= e.Done+afterDeath {
			return true
		}
	}
	return false
}

// comeAgain is how a WebSocket ends with status 1012 (Service Restart).
const comeAgain = string(record.EOF) + " by a close frame instead of a message: 03f4"

// stopping reports whether a process that stops has answered that the client is to come
// again: by status 503 in a restart, or by close frame 1012 in a restart or after a kill.
func (s *scene) stopping(q record.Request) bool {
	e := s.eventAt(q.Due)
	if strings.HasPrefix(q.Error, comeAgain) {
		e = s.eventAt(q.End()) // the WebSocket may have been open before
		return e != nil && (e.Kind == record.Kill || e.Kind == record.Restart && q.Due < e.Done)
	}
	return q.Failure == record.BadAnswer && strings.HasPrefix(q.Error, "status 503") && e != nil && e.Kind == record.Restart && q.Due < e.Done
}

// lost returns the requests of the story that must not have failed. The load has ended.
func (s *scene) lost() (lost []record.Request) {
	for _, q := range s.r.Since(s.began) {
		if q.Lost() && !s.excused(q) {
			lost = append(lost, q)
		}
	}
	return lost
}

// count enters the numbers of the story.
func (s *scene) count(told *record.Story) {
	for _, q := range s.r.Since(s.began) {
		told.Requests++
		switch {
		case q.Lost() && s.excused(q):
			told.Excused++
		case q.Lost():
			told.Lost++
		}
	}
}

// nothingLost ends the load and returns a flaw if a request was lost, or if the process of the
// last upgrade has died.
func (s *scene) nothingLost() error {
	s.endLoad()
	lost := s.lost()
	if err := s.died(lost); err != nil {
		return err
	}
	if len(lost) == 0 {
		return nil
	}
	return flawf("%s %s", s.describe(lost), s.cause(lost))
}

// died returns a flaw if the process of the last upgrade has died, unless another event came
// later.
func (s *scene) died(lost []record.Request) error {
	if len(s.events) == 0 {
		return nil
	}
	e := s.events[len(s.events)-1]
	main, restarts := s.main(s.ctx), s.restarts()
	if e.Kind != record.Reload || e.Error != "" || restarts == s.before && main != 0 {
		return nil // another main process without a restart is that of an upgrade for which the command has not waited
	}
	text := ""
	if len(lost) > 0 {
		text = s.describe(lost) + " "
	}
	return flawf("The new main process has died after the upgrade, and systemd has started another one %d times; MainPID=%d. %sLikely cause: the program crashes%s. %s",
		restarts-s.before, main, text, s.lastWords(), s.journal(s.ctx))
}

// lastWords quotes the line of the journal with which the Go runtime ends a program.
func (s *scene) lastWords() (quoted string) {
	text, _ := s.stage.Log(s.ctx, s.units.service) // without it the message is shorter
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			quoted = fmt.Sprintf(" (%q)", line)
		}
	}
	return quoted
}

// describe names the lost requests, and the parts of the upgrade.
func (s *scene) describe(lost []record.Request) string {
	kinds, loads, phases := map[record.Failure]int{}, map[string]int{}, map[string]int{}
	for _, q := range lost {
		kinds[q.Failure]++
		loads[s.r.loadName(q.Load)]++
		phases[s.when(q)]++
	}
	first := lost[0]
	for _, q := range lost {
		if q.Due < first.Due {
			first = q
		}
	}
	return fmt.Sprintf("%d of %d requests were lost: %s (%s). When: %s. The first one, %s, failed after %v: %s: %s.", len(lost), len(s.r.Since(s.began)),
		sorted(kinds), sorted(loads), sorted(phases), s.relative(first), first.Took.Round(time.Millisecond), first.Failure, first.Error)
}

// at returns the time at which a request was lost: that of its failure, or the time at which
// it was due if it has waited in vain.
func at(q record.Request) time.Duration {
	if has(late, q.Failure) {
		return q.Due
	}
	return q.End()
}

// when names the part of the upgrade, restart or crash in which a request was lost.
func (s *scene) when(q record.Request) string {
	e := s.eventAt(at(q))
	if e == nil {
		return string(record.Before)
	}
	phase := e.Phase(at(q))
	switch {
	case e.Kind == record.Kill:
		return "after the kill"
	case e.Kind == record.Restart && phase == record.Starting:
		return "between the stop of the old process and the readiness of the new one"
	case e.Error != "" && phase != record.Starting:
		return "after the failed upgrade"
	case phase == record.After && !has(late, q.Failure) && at(q) < e.Drained+afterDeath:
		return string(record.Draining) // the client has noticed it later
	}
	return string(phase)
}

// eventAt returns the last event that began before the time at, nil if there is none.
func (s *scene) eventAt(at time.Duration) (last *record.Event) {
	for _, e := range s.events {
		if e.At <= at {
			last = e
		}
	}
	return last
}

// relative says when a request was due, from the begin of its event.
func (s *scene) relative(q record.Request) string {
	if e := s.eventAt(q.Due); e != nil {
		return fmt.Sprintf("due %v after the %s began", (q.Due - e.At).Round(time.Millisecond), e.Kind)
	}
	return fmt.Sprintf("due %v after the load began", (q.Due - s.began).Round(time.Millisecond))
}
