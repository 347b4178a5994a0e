// Package probation keeps the last good program: the executable of the process that served
// before, as a descriptor in the fd store. The name of the entry has the identity of the program
// that is not proven. As long as the entry is there, a start of that program executes the last
// good one, see lastgood.Programs.FallBack.
//
//	the predecessor stores the entry     before MAINPID=, and when an upgrade was undone because
//	                                     of its successor
//	the main process removes the entry   when it has served for Options.Probation, when it is
//	                                     told to stop, and when it stores one for another program
//
// So a death removes nothing: not a crash, SIGKILL, the OOM killer or the watchdog. A stop or
// restart that an operator asks for does, and then the file on disk is started. A process that is
// not proven keeps the program that was good for itself, not its own, for its successor.
package probation

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/fdstore"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// A Probation keeps the last good program of this process and for its successors. Its exported
// fields do not change after the first call.
type Probation struct {
	Time       time.Duration // Options.Probation; zero keeps no program
	Generation int           // number of this generation
	Store      *fdstore.Store
	Good       *lastgood.Programs
	Log        *slog.Logger

	storedFor atomic.Pointer[generation.Successor] // the last successor for which Keep stored an entry
}

// Settle removes the entries that have no use in this main process, and starts the probation if
// this program is not proven. run runs a function on a goroutine, which ends after the probation,
// or with ctx.
func (p *Probation) Settle(ctx context.Context, run func(func())) {
	if len(p.Good.Entries()) == 0 {
		return
	}
	var keep string
	switch {
	case p.Time == 0:
	case p.Good.InsteadOf != nil:
		keep = storename.Good(p.Good.InsteadOf.Identity)
	default:
		keep = storename.Good(p.Good.Me)
	}
	if err := p.Store.RemoveLastGood(ctx, keep); err != nil {
		p.Log.Warn("entries of the last good program are not removed", "error", err)
	}
	if p.Good.InsteadOf == nil && p.Good.Has(p.Good.Me) {
		run(func() { p.serve(ctx) })
	}
}

// pause is the time between two attempts to end the probation while an upgrade is under way. No
// event shows that it was undone.
const pause = time.Second

// serve gives the last good program up when this one has served for the probation.
func (p *Probation) serve(ctx context.Context) {
	for wait := p.Time; ; wait = pause {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if p.proven(ctx) {
			return
		}
	}
}

// proven ends the probation. It returns false if it has to be tried again.
func (p *Probation) proven(ctx context.Context) bool {
	if err := p.Store.Prove(ctx); err != nil {
		return errors.Is(err, fdstore.ErrReplaced) // a successor is the main process, and has the entries
	}
	p.Log.Info("this program is proven, and the one before is given up", "generation", p.Generation, "probation", p.Time)
	return true
}

// Forget removes all entries when this process is told to stop: the next start executes the file
// on disk.
func (p *Probation) Forget(ctx context.Context) {
	if len(p.Good.Entries()) == 0 {
		return
	}
	if err := p.Store.RemoveLastGood(ctx, ""); err != nil {
		p.Log.Warn("entries of the last good program are not removed, so the next start executes it", "error", err)
	}
}

// Keep stores the last good program for the program of s. Without room or on an error the upgrade
// goes on, and a crash starts the program on disk. It does nothing for nil, without a manager, or
// if s has the program of this process.
func (p *Probation) Keep(ctx context.Context, s *generation.Successor) {
	if s == nil || p.Time == 0 || p.Store.Notifier == nil {
		return
	}
	identity := s.Identity()
	if identity == "" || identity == p.Good.Me {
		return
	}
	if err := p.Store.KeepLastGood(ctx, identity, func() { p.storedFor.Store(s) }); err != nil {
		p.Log.Warn("the last good program is not kept, so a crash starts the program on disk", "error", err)
	}
}

// Judge keeps the last good program for s, the successor of an undone upgrade, if s is the reason
// (blamed). Otherwise it removes an entry that was stored for s.
func (p *Probation) Judge(ctx context.Context, s *generation.Successor, blamed bool) {
	switch {
	case blamed:
		p.Keep(ctx, s)
	case p.storedFor.Load() == s:
		p.Store.DropLastGood(ctx, s.Identity())
	}
}
