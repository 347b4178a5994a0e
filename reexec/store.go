package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/internal/excerpt"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file keeps the fd store in line with the sockets and the state of the main process.
// An entry counts as stored when the manager was sent it, and not before. What fails is
// tried again, by this process or by its successor, and the status says so meanwhile.

// fdStore is the part of the manager's fd store that belongs to this process.
type fdStore struct {
	mu      sync.Mutex             // held while the store is changed
	ours    bool                   // the main process may change the store; guarded by mu
	was     bool                   // the store was ours once; guarded by mu
	handing bool                   // a successor was told the names; guarded by mu
	lack    atomic.Pointer[string] // says why something is not stored, nil if everything is
}

// Times between two attempts to store what could not be stored. No event tells that a
// descriptor is free again, or that the manager reads.
const (
	firstStorePause = 100 * time.Millisecond
	lastStorePause  = time.Minute
)

// maxLack bounds the text for STATUS= and reports.
const maxLack = 512

// settleStore brings the fd store in line, and reports what is not stored. A store that
// does not work costs the insurance against a crash, not the service.
func (u *Upgrader) settleStore() error {
	u.fdStore.mu.Lock()
	defer u.fdStore.mu.Unlock()
	if !u.fdStore.ours {
		return nil // a successor has become main meanwhile
	}
	var errs []error
	for _, name := range u.sockets.unwanted() {
		err := u.removeStored(name)
		if err == nil {
			u.sockets.removed(name)
		}
		errs = append(errs, err)
	}
	errs = append(errs, u.storeSockets())
	if u.supervised() {
		errs = append(errs, u.states.keep(u.life, u.notifier, u.checkRoom))
	}
	return errors.Join(errs...)
}

func (u *Upgrader) removeStored(name string) error {
	ctx, cancel := saying(u.life)
	defer cancel()
	return u.notifier.Remove(ctx, name)
}

// storeSockets puts the sockets that only this process has into the fd store. Each message
// has its time, not all together: the manager compares a descriptor with every one that it
// has, and needs ten seconds for 4,000. With the first that it does not take, the rest is
// given up.
func (u *Upgrader) storeSockets() error {
	for _, k := range u.sockets.unkept() {
		err := u.checkRoom()
		if err == nil {
			err = u.storeSocket(k)
		}
		if errors.Is(err, net.ErrClosed) {
			continue // the program has closed it
		}
		if err != nil {
			return err
		}
		u.sockets.stored(k)
	}
	return nil
}

func (u *Upgrader) storeSocket(k *socket) error {
	ctx, cancel := context.WithTimeout(u.life, storeTimeout)
	defer cancel()
	return u.notifier.Store(ctx, storeName(k.Name, k.Index), k.use)
}

// checkRoom reports whether one more file fits: the manager drops what does not, and says
// nothing. Managers before 254 do not tell how much they take.
func (u *Upgrader) checkRoom() error {
	limit := u.notifier.StoreMax()
	if used := u.sockets.inStore() + u.states.inStore(); limit > 0 && used >= limit {
		return fmt.Errorf("the fd store holds %d files and is full: raise FileDescriptorStoreMax= of the unit", limit)
	}
	return nil
}

// noteStore keeps what came of an attempt. Where something is not stored, the next attempt
// comes after a pause that doubles each time.
func (u *Upgrader) noteStore(p *present, err error) {
	if err == nil {
		u.fdStore.lack.Store(nil)
		p.storePause = 0
		return
	}
	lack := excerpt.Of(err.Error(), maxLack)
	if was := u.fdStore.lack.Swap(&lack); was == nil || *was != lack {
		u.log.Warn("fd store, trying again", "error", err)
	}
	p.storePause = min(max(firstStorePause, 2*p.storePause), lastStorePause)
	p.again.Reset(p.storePause)
}

// storeAgain tries again, on a goroutine because the manager may not read.
func (u *Upgrader) storeAgain(p *present) {
	if !p.main {
		return
	}
	u.task(func() { // ends when the manager has read, or a message has had its time
		u.post(event{kind: evStored, err: u.settleStore()})
	})
}

// storedAgain says what came of an attempt.
func (u *Upgrader) storedAgain(p *present, err error) {
	u.noteStore(p, err)
	if p.state == serving && p.main {
		u.sayOlder(p)
	}
}

// notStored says what the manager does not have, "" if it has everything.
func (u *Upgrader) notStored() string {
	if lack := u.fdStore.lack.Load(); lack != nil {
		return *lack
	}
	return ""
}

// own makes the store ours, or says that another process has taken over.
func (f *fdStore) own(ours bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ours, f.handing, f.was = ours, false, f.was || ours
}

// hand lets the store be, because another process may be the main one next.
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

// handStore tells the successor, before it can become main, what has changed since it was
// told the state and the sockets: names in the fd store, and files that were forgotten.
// From here on the store is the successor's, unless the commit fails.
func (u *Upgrader) handStore(s *successor) error {
	u.fdStore.hand()
	ctx, cancel := saying(u.life)
	defer cancel()
	if names := u.states.untold(); names != nil {
		if err := s.line.SendStates(ctx, handover.States{Stored: names}); err != nil {
			return err
		}
	}
	return u.handForgotten(ctx, s)
}

// handForgotten tells the successor what was forgotten since it was given the sockets.
func (u *Upgrader) handForgotten(ctx context.Context, s *successor) error {
	gone := u.sockets.takeForgotten()
	if len(gone) == 0 {
		return nil
	}
	return s.line.SendForgotten(ctx, gone)
}
