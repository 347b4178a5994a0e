package reexec

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/fdstore"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/parent"
	"github.com/cutover-go/cutover/reexec/internal/probation"
	"github.com/cutover-go/cutover/reexec/internal/proof"
	"github.com/cutover-go/cutover/reexec/internal/status"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file sends the notifications to the service manager. Without a manager u.notifier is
// nil, and nothing is sent.

// manager is the service manager of this process.
type manager struct {
	notifier  *notify.Notifier // nil without a manager
	store     fdstore.Store
	lack      atomic.Pointer[string] // reason why the fd store lacks an entry, nil if it lacks none
	good      lastgood.Programs
	probation probation.Probation
}

// announce makes the first generation ready. The sockets and states that only this process
// has go into the fd store before READY=1.
func (u *Upgrader) announce(p *loopState) error {
	u.manager.store.Own(true)
	u.sockets.Join(u.tasks.Go)
	u.sockets.NoteUnclaimed()
	u.noteStore(p, u.manager.store.Settle(u.tasks.life))
	fault.At(fault.BeforeAnnounced)
	u.manager.probation.Settle(u.tasks.life, u.tasks.Go)
	if u.manager.good.InsteadOf != nil {
		u.reportFallBack(p)
	}
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	p.status = u.statusText(p)
	return u.manager.notifier.Send(ctx, notify.Ready, notify.Status(p.status))
}

// takeOver makes a successor the main process. A predecessor that lives has sent MAINPID= with
// READY=1 and a status.
func (u *Upgrader) takeOver(p *loopState) {
	if u.pred.Older() > 0 {
		p.status = committed(u.launch.generation)
		p.brief = true
		p.progress.Reset(briefly)
	}
	u.sayStatus(p)
	u.manager.store.Own(true)
	u.sockets.NoteUnclaimed()
	u.noteStore(p, u.manager.store.Settle(u.tasks.life))
	u.manager.probation.Settle(u.tasks.life, u.tasks.Go)
	u.sayStatus(p) // sends nothing if everything is stored
}

// sayBegun notifies the manager that an upgrade begins. If an ExecReload= command waits, the
// manager is reloading already, and tellProgress notifies it of an upgrade that lasts. With
// RELOADING=1 the manager would then wait for READY=1 of a main process that has died: systemd
// 257 waits until the reload times out, and 247.3 does if it sees the command end first.
func (u *Upgrader) sayBegun(p *loopState) {
	p.reloading = p.request == nil || p.request.reload == nil
	if p.reloading {
		u.tellManager(append([]notify.Assignment{notify.Reloading()}, u.underWay()...)...)
		return
	}
	p.progress.Reset(briefly)
}

// underWay returns the notification of an upgrade that is under way. It extends the manager's
// timeout by the time that the upgrade may take.
func (u *Upgrader) underWay() []notify.Assignment {
	return []notify.Assignment{
		notify.ExtendTimeout(u.opts.ReadyTimeout + timeout.Switch + u.opts.Trial + timeout.Confirm),
		notify.Status(fmt.Sprintf("%s serves, generation %d starts", u.itself(), u.launch.generation+1)),
	}
}

// sayUndone notifies the manager that an upgrade was undone. READY=1 is sent only after
// RELOADING=1. For an ExecReload= command the manager waits for the exit of the command.
func (u *Upgrader) sayUndone(p *loopState) {
	p.status = u.statusText(p)
	said := []notify.Assignment{notify.Status(p.status)}
	if p.reloading {
		said = append([]notify.Assignment{notify.Ready}, said...)
	}
	u.tellManager(said...)
}

// sayStop notifies the manager that this process ends. reason is nil unless it failed.
func (u *Upgrader) sayStop(reason error) {
	text := fmt.Sprintf("generation %d finishes its work", u.launch.generation)
	switch {
	case reason != nil:
		text += ": " + reason.Error()
	case !u.ready.called.Load(): // a start that takes too long ends so
		text += ": the program has not called Ready, and accepted no client"
	}
	said := []notify.Assignment{notify.Stopping, notify.Status(text)}
	if errno := syscall.Errno(0); errors.As(reason, &errno) {
		said = append(said, notify.Errno(errno))
	}
	u.tellManager(said...)
}

// tellManager sends a notification, and reports whether it was sent.
func (u *Upgrader) tellManager(what ...notify.Assignment) bool {
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	err := u.manager.notifier.Send(ctx, what...)
	if err != nil {
		u.log.Warn("notification of the manager is not sent", "error", err)
	}
	return err == nil
}

// sayStatus sends STATUS= of the main process again if it has changed.
func (u *Upgrader) sayStatus(p *loopState) {
	if text := u.statusText(p); text != p.status && u.tellManager(notify.Status(text)) {
		p.status = text
	}
}

// itself returns this generation for STATUS=.
func (u *Upgrader) itself() status.Generation {
	return status.Generation{Number: u.launch.generation, Version: u.launch.version()}
}

// committed returns STATUS= of the commit, from which the generation is the main process.
func committed(generation int) string { return fmt.Sprintf("generation %d serves", generation) }

// statusText returns STATUS= of a serving main process.
func (u *Upgrader) statusText(p *loopState) string {
	good := &u.manager.good
	s := status.Serving{
		Generation: u.itself(),
		Program:    status.Program{Path: u.launch.program.Path, Identity: good.Me},
		NotStored:  u.notStored(),
		Strays:     u.sockets.Strays(),
	}
	if good.InsteadOf != nil {
		s.InsteadOf = good.InsteadOf.Text()
	}
	if !p.brief {
		s.Draining = u.pred.Progress()
	}
	if p.reason != nil { // the last upgrade was undone
		s.Undone = p.reason.text()
	}
	return s.String()
}

// commit makes the successor the main process. It sends Committing to the successor before
// MAINPID= to the manager: if this process dies in between, the successor must not take that
// for an undone upgrade.
func (u *Upgrader) commit(p *loopState, e event) {
	s := p.succ
	u.passReloadCommand(p)
	err := u.checkFollowed(s.Process.PID)
	if err == nil {
		err = u.handStore(s)
	}
	if err == nil {
		u.handLastGood(s)
		err = s.Say(u.tasks.life, handover.Committing{Marked: e.marks != nil})
	}
	if err != nil {
		p.self = append(p.self, event{kind: lifecycle.EvCommitFailed, from: s, err: err})
		return
	}
	fault.At(fault.CommittingSaid)
	u.introduceThird(p, e.marks)
	// Not on a goroutine: later messages must reach the manager after this one, also if the
	// successor dies now.
	if err := u.sayMain(s.Process.PID); err != nil {
		p.self = append(p.self, event{kind: lifecycle.EvCommitFailed, from: s, err: err})
		return
	}
	if e.marks != nil {
		if err := s.Say(u.tasks.life, handover.Acknowledge{}); err != nil { // confirm then decides without the answer
			u.log.Warn("successor cannot be asked for proof that it is the main process", "error", err)
		}
	}
	close(e.told)
}

// passReloadCommand gives the successor the reload command that waits. The successor answers it if
// this process is killed first.
func (u *Upgrader) passReloadCommand(p *loopState) {
	if p.request == nil || p.request.reload == nil {
		return
	}
	f, err := p.request.reload.Dup()
	if err == nil {
		defer f.Close()
		err = p.succ.Say(u.tasks.life, handover.Command{FDs: []*fd.FD{f}})
	}
	if err != nil {
		u.log.Debug("reload command is not passed to the successor", "error", err) // this process answers it, unless it is killed
	}
}

// sayMain sends the commit: one datagram, which the manager authorises as a whole before it
// applies MAINPID=.
func (u *Upgrader) sayMain(pid int) error {
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	said := []notify.Assignment{notify.MainPID(pid), notify.Ready, notify.Status(committed(u.launch.generation + 1))}
	if u.manager.notifier.WatchdogTimeout() > 0 {
		said = append(said, notify.Ping) // MAINPID= does not reset the watchdog: give the successor the whole time
	}
	return u.manager.notifier.Send(ctx, said...)
}

// confirm waits until the manager has taken MAINPID=, because the exit of this process before
// that would stop the whole service. If the manager is late, confirm posts EvUnconfirmed and
// goes on waiting. Without a proof it relies on the barrier, which shows that the manager
// has read MAINPID=.
func (u *Upgrader) confirm(s *generation.Successor, marks *proof.Marks) {
	fault.At(fault.MainPIDSaid)
	ctx, cancel := context.WithTimeout(u.tasks.life, timeout.Confirm)
	defer cancel()
	err := u.barrier(ctx)
	if err != nil {
		u.loop.post(event{kind: lifecycle.EvUnconfirmed, from: s, err: err})
		err = u.barrier(u.tasks.life)
	}
	if err != nil {
		u.log.Warn("manager has not confirmed that it read MAINPID= of the successor", "pid", s.Process.PID, "error", err)
	}
	v := marks.Read(u.tasks.life, u.manager.notifier, proof.Successor{Acknowledged: s.Acknowledged(), Over: s.Process.Over()})
	u.log.Debug("MAINPID=", "pid", s.Process.PID, "verdict", v)
	if v == proof.Refused {
		u.loop.post(event{kind: lifecycle.EvCommitFailed, from: s, err: parent.WhyRefused(s.Process.PID)})
		return
	}
	u.loop.post(event{kind: lifecycle.EvConfirmed, from: s})
}

// barrierPause is the time between two attempts at a barrier.
const barrierPause = 10 * time.Millisecond

// barrier waits until the manager has read all earlier messages. A barrier needs two
// descriptors. If none is free, barrier takes them from the reserve, or tries again, because
// no event shows that a descriptor becomes free.
func (u *Upgrader) barrier(ctx context.Context) error {
	for {
		err := u.manager.notifier.Barrier(ctx)
		if !fd.Short(err) {
			return err
		}
		if u.reserve.Lend(lent) {
			continue
		}
		select {
		case <-time.After(barrierPause):
		case <-ctx.Done():
			return err
		}
	}
}

// acknowledge asks the manager to remove the successor's mark, which the manager does only for
// the main process. Then it sends Acknowledged to the predecessor.
func (u *Upgrader) acknowledge(p *loopState) {
	u.sockets.Discard(storename.PredecessorMark)
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if err := u.manager.notifier.Remove(ctx, storename.SuccessorMark); err != nil {
		u.log.Warn("removal of the mark is not sent to the manager", "error", err)
		return
	}
	u.tellPredecessor(p, handover.Acknowledged{})
}
