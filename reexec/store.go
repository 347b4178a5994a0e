package reexec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/excerpt"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file stores the sockets and states of the main process in the fd store. An entry counts
// as stored after it was sent to the manager. This process or its successor tries failed
// steps again, and STATUS= names the missing entries meanwhile.

// fdStore is the part of the manager's fd store that belongs to this process.
type fdStore struct {
	mu      sync.Mutex             // held while this process changes the store
	ours    bool                   // this process may change the store; guarded by mu
	was     bool                   // ours was true once; guarded by mu
	handing bool                   // a successor was sent the names; guarded by mu
	lack    atomic.Pointer[string] // reason why an entry is missing, nil if none is
}

// Pauses between two attempts to store missing entries. No event shows that a descriptor
// becomes free, or that the manager reads.
const (
	firstStorePause = 100 * time.Millisecond
	lastStorePause  = time.Minute
)

// maxLack limits the reason in STATUS= and in reports.
const maxLack = 512

// settleStore updates the fd store, and returns an error for missing entries. A store that
// does not work costs the protection against a crash, not the service.
func (u *Upgrader) settleStore() error {
	u.manager.store.mu.Lock()
	defer u.manager.store.mu.Unlock()
	if !u.manager.store.ours {
		return nil // a successor is the main process now
	}
	errs := []error{u.sockets.Sweep(u.removeStored), u.storeSockets()}
	if u.supervised() {
		errs = append(errs, u.states.Keep(u.tasks.life, u.manager.notifier, u.checkRoom))
	}
	return errors.Join(errs...)
}

func (u *Upgrader) removeStored(name string) error {
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	return u.manager.notifier.Remove(ctx, name)
}

// storeSockets puts the sockets that only this process has into the fd store. Store
// limits each message, not all together: the manager compares each new descriptor with all
// stored ones, and needs ten seconds for 4,000. storeSockets stops at the first error.
func (u *Upgrader) storeSockets() error {
	return u.sockets.Store(func(name string, file syscall.Conn) error {
		if err := u.checkRoom(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(u.tasks.life, timeout.Store)
		defer cancel()
		return u.manager.notifier.Store(ctx, name, file)
	})
}

// checkRoom returns an error if the fd store is full, because the manager drops a further file
// without an error. Managers before 254 do not send the size of the store.
func (u *Upgrader) checkRoom() error {
	limit := u.manager.notifier.StoreMax()
	used, good := u.sockets.InStore()+u.states.InStore(), len(u.manager.good.Entries())
	if limit > 0 && used < limit && used+good >= limit { // sockets and states come first
		u.log.Warn("the last good program is given up, because the fd store is full: raise FileDescriptorStoreMax= of the unit", "limit", limit)
		return u.removeLastGood()
	}
	if limit > 0 && used >= limit {
		return fmt.Errorf("the fd store holds %d files and is full: raise FileDescriptorStoreMax= of the unit", limit)
	}
	return nil
}

// noteStore keeps the result of an attempt to store. After an error it starts a pause before
// the next attempt, which doubles each time.
func (u *Upgrader) noteStore(p *loopState, err error) {
	if err == nil {
		u.manager.store.lack.Store(nil)
		p.storePause = 0
		return
	}
	lack := excerpt.Of(err.Error(), maxLack)
	if was := u.manager.store.lack.Swap(&lack); was == nil || *was != lack {
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
		u.loop.post(event{kind: lifecycle.EvStored, err: u.settleStore()})
	})
}

// storedAgain handles the result of an attempt.
func (u *Upgrader) storedAgain(p *loopState, err error) {
	u.noteStore(p, err)
	if p.state == lifecycle.Serving && p.main {
		u.sayOlder(p)
	}
}

// notStored returns the reason why an entry is missing, "" if none is.
func (u *Upgrader) notStored() string {
	if lack := u.manager.store.lack.Load(); lack != nil {
		return *lack
	}
	return ""
}

// own sets whether this process may change the store.
func (f *fdStore) own(ours bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ours, f.handing, f.was = ours, false, f.was || ours
}

// hand ends changes of the store, because another process may be the main one next.
func (f *fdStore) hand() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ours, f.handing = false, true
}

// check returns why this process must not change the store. The caller holds mu.
func (f *fdStore) check() error {
	switch {
	case f.ours:
		return nil
	case f.handing:
		return ErrBusy
	case !f.was:
		return ErrNotReady
	}
	return ErrReplaced
}

// handStore sends the successor, before it can become the main process, the changes since it
// got the state and the sockets: names in the fd store, and forgotten files. From here on
// only the successor changes the store, unless the commit fails.
func (u *Upgrader) handStore(s *successor) error {
	u.manager.store.hand()
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if names := u.states.Untold(); names != nil {
		if err := s.line.SendStates(ctx, handover.States{Stored: names}); err != nil {
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
func (u *Upgrader) handForgotten(ctx context.Context, s *successor) error {
	gone := u.sockets.TakeForgotten()
	if len(gone) == 0 {
		return nil
	}
	return s.line.SendForgotten(ctx, gone)
}
