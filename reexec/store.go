package reexec

import (
	"context"
	"time"

	"github.com/cutover-go/cutover/internal/excerpt"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file repeats attempts to store sockets and states, and hands the fd store to the
// successor. An entry counts as stored after it was sent to the manager. This process or its
// successor tries failed steps again, and STATUS= names the missing entries meanwhile.

// Pauses between two attempts to store missing entries. No event shows that a descriptor
// becomes free, or that the manager reads.
const (
	firstStorePause = 100 * time.Millisecond
	lastStorePause  = time.Minute
)

// maxLack limits the reason in STATUS= and in reports.
const maxLack = 512

// noteStore keeps the result of an attempt to store. After an error it starts a pause before
// the next attempt, which doubles each time.
func (u *Upgrader) noteStore(p *loopState, err error) {
	if err == nil {
		u.manager.lack.Store(nil)
		p.storePause = 0
		return
	}
	lack := excerpt.Of(err.Error(), maxLack)
	if was := u.manager.lack.Swap(&lack); was == nil || *was != lack {
		u.log.Warn("fd store is not complete, trying again", "error", err)
	}
	p.storePause = min(max(firstStorePause, 2*p.storePause), lastStorePause)
	p.again.Reset(p.storePause)
}

// storeAgain starts an attempt on a goroutine, because the manager may not read.
func (u *Upgrader) storeAgain(p *loopState) {
	if !p.main {
		return
	}
	u.tasks.Go(func() { // ends when the manager has read, or the time of a message is over
		u.loop.post(event{kind: lifecycle.EvStored, err: u.manager.store.Settle(u.tasks.life)})
	})
}

// storedAgain handles the result of an attempt.
func (u *Upgrader) storedAgain(p *loopState, err error) {
	u.noteStore(p, err)
	if p.state == lifecycle.Serving && p.main {
		u.sayStatus(p)
	}
}

// notStored returns the reason why an entry is missing, "" if none is.
func (u *Upgrader) notStored() string {
	if lack := u.manager.lack.Load(); lack != nil {
		return *lack
	}
	return ""
}

// handStore sends the successor, before it can become the main process, the changes since it
// got the state and the sockets: names in the fd store, and forgotten files. From here on
// only the successor changes the store, unless the commit fails.
func (u *Upgrader) handStore(s *generation.Successor) error {
	u.manager.store.Hand()
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if names := u.states.Untold(); names != nil {
		if err := s.SendStates(ctx, handover.States{Stored: names}); err != nil {
			return err
		}
	}
	return u.handForgotten(ctx, s)
}

// handLateForgotten sends the successor the files that were forgotten during the commit.
func (u *Upgrader) handLateForgotten(p *loopState) {
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if err := u.handForgotten(ctx, p.succ); err != nil {
		u.log.Warn("successor cannot be told of forgotten files, and keeps them", "error", err)
	}
}

// handForgotten sends the successor the files that were forgotten after it got the sockets.
func (u *Upgrader) handForgotten(ctx context.Context, s *generation.Successor) error {
	return s.SendForgotten(ctx, u.sockets.TakeForgotten())
}
