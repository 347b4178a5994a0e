package reexec

import (
	"errors"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file ends the keeping of the last good program: after the probation, at a stop, and when an
// upgrade was undone for another reason than its successor.

// settleLastGood removes the entries that have no use in this main process, and starts the
// probation if it is not proven.
func (u *Upgrader) settleLastGood() {
	if len(u.manager.good.Entries()) == 0 {
		return
	}
	var keep string
	switch {
	case u.opts.Probation == 0:
	case u.manager.good.InsteadOf != nil:
		keep = storename.Good(u.manager.good.InsteadOf.Identity)
	default:
		keep = storename.Good(u.manager.good.Me)
	}
	if err := u.manager.store.RemoveLastGood(u.tasks.life, keep); err != nil {
		u.log.Warn("entries of the last good program are not removed", "error", err)
	}
	if u.manager.good.InsteadOf == nil && u.manager.good.Has(u.manager.good.Me) {
		u.tasks.Go(u.serveProbation) // ends after Options.Probation, or with life
	}
}

// provePause is the time between two attempts to end the probation while an upgrade is under way.
// No event shows that it was undone.
const provePause = time.Second

// serveProbation gives the last good program up when this one has served for Options.Probation.
func (u *Upgrader) serveProbation() {
	for wait := u.opts.Probation; ; wait = provePause {
		select {
		case <-time.After(wait):
		case <-u.tasks.life.Done():
			return
		}
		if u.proven() {
			return
		}
	}
}

// proven ends the probation. It returns false if it has to be tried again.
func (u *Upgrader) proven() bool {
	if err := u.manager.store.Prove(u.tasks.life); err != nil {
		return errors.Is(err, ErrReplaced) // a successor is the main process, and has the entries
	}
	u.log.Info("this program is proven, and the one before is given up", "generation", u.launch.generation, "probation", u.opts.Probation)
	return true
}

// forgetLastGood removes all entries when this process is told to stop: the next start executes
// the file on disk.
func (u *Upgrader) forgetLastGood() {
	if len(u.manager.good.Entries()) == 0 {
		return
	}
	if err := u.manager.store.RemoveLastGood(u.tasks.life, ""); err != nil {
		u.log.Warn("entries of the last good program are not removed, so the next start executes it", "error", err)
	}
}

// judgeCandidate keeps the last good program for the candidate of an undone upgrade, if the candidate is
// the reason, and removes an entry that was stored for it otherwise.
func (u *Upgrader) judgeCandidate(p *loopState) {
	s := p.candidate
	switch {
	case s == nil || !p.main:
	case p.blamed:
		u.keepLastGood(s)
	case s.keptGood.Load():
		u.manager.store.DropLastGood(u.tasks.life, s.identity())
	}
	p.candidate = nil
}

// blames reports whether e shows that the successor is the reason for an undone upgrade: not the
// end of the caller, a stop, or the manager.
func blames(e lifecycle.Event) bool {
	switch e {
	case lifecycle.EvFailed, lifecycle.EvDeclined, lifecycle.EvDeadline, lifecycle.EvGone, lifecycle.EvGoneAlone:
		return true
	}
	return false
}
