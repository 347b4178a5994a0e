package reexec

import (
	"errors"
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file keeps the last good program: the executable of the process that served before, as a
// descriptor in the fd store. The name of the entry has the identity of the program that is not
// proven. As long as the entry is there, a start of that program executes the last good one, see
// lastgood.Programs.FallBack.
//
//	the predecessor stores the entry     before MAINPID=, and when an upgrade was undone because
//	                                     of its successor
//	the main process removes the entry   when it has served for Options.Probation, when it is
//	                                     told to stop, and when it stores one for another program
//
// So a death removes nothing: not a crash, SIGKILL, the OOM killer or the watchdog. A stop or
// restart that an operator asks for does, and then the file on disk is started. A process that is
// not proven keeps the program that was good for itself, not its own, for its successor.

// keepLastGood stores the last good program for the program of s. Without room or on an error the
// upgrade goes on, and a crash starts the program on disk.
func (u *Upgrader) keepLastGood(s *successor) {
	if s == nil {
		return
	}
	identity := s.identity()
	if u.opts.Probation == 0 || !u.supervised() || identity == "" || identity == u.manager.good.Me {
		return
	}
	err := u.manager.store.KeepLastGood(u.tasks.life, identity, func() { s.keptGood.Store(true) })
	if err != nil {
		u.log.Warn("the last good program is not kept, so a crash starts the program on disk", "error", err)
	}
}

// handLastGood sends the entries to the successor, which will be the main process.
func (u *Upgrader) handLastGood(s *successor) {
	m := handover.LastGood{Names: u.manager.good.Entries()}
	if len(m.Names) == 0 {
		return
	}
	program, err := u.manager.good.Dup()
	if err == nil {
		defer program.Close()
		m.FDs = []*fd.FD{program}
	}
	err = errors.Join(err, s.say(u.tasks.life, m)) // a successor without it removes no entry
	if err != nil {
		u.log.Debug("last good program is not passed to the successor", "error", err)
	}
}

// reportFallBack reports that this process is the last good program.
func (u *Upgrader) reportFallBack(p *loopState) {
	failed := u.manager.good.InsteadOf
	u.log.Warn("the program on disk failed before it was proven, so the last good program serves: install another program and reload",
		"program", failed.Path, "identity", failed.Identity)
	u.observe(p, eventLastGood, fmt.Errorf("reexec: %s failed before it was proven", failed.Path))
}
