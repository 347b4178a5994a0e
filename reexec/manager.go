package reexec

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
)

// This file is what a generation tells the service manager. Without one,
// u.notifier is nil and all of it does nothing.

// announce makes a first generation ready: what only this process has goes into
// the fd store before anybody relies on it.
func (u *Upgrader) announce(p *present) error {
	u.fdStore.own(true)
	u.look()
	u.noteStore(p, u.settleStore())
	fault.At(fault.BeforeAnnounced)
	ctx, cancel := saying(u.life)
	defer cancel()
	p.status = u.statusText(nil)
	return u.notifier.Send(ctx, notify.Ready, notify.Status(p.status))
}

// adopt makes a successor the main process. READY=1 was in the message that made
// it so, and a status that was true until then.
func (u *Upgrader) adopt(p *present) {
	u.sayOlder(p)
	u.fdStore.own(true)
	u.look()
	u.noteStore(p, u.settleStore())
	u.sayOlder(p) // nothing, if all is stored
}

// sayBegun begins an upgrade, and asks for the time that it may take. RELOADING=1 is
// for reloads that nobody's command waits for. In one that ExecReload= has begun the
// manager knows that it reloads, and would wait for READY=1 of a main process that has
// died meanwhile: 257 does until the reload times out, and 247.3 if it sees the command
// end first.
func (u *Upgrader) sayBegun(p *present) {
	said := []notify.Assignment{
		notify.ExtendTimeout(u.opts.ReadyTimeout + switchTimeout + u.opts.Trial + confirmTimeout),
		notify.Status(fmt.Sprintf("%s serves, generation %d starts", u.itself(), u.generation+1)),
	}
	p.reloading = p.request == nil || p.request.command == nil
	if p.reloading {
		said = append([]notify.Assignment{notify.Reloading()}, said...)
	}
	u.tellManager(said...)
}

// sayUndone ends an upgrade that came to nothing. READY=1 ends what RELOADING=1 began,
// and is no answer to an ExecReload= command, whose own exit says how it went.
func (u *Upgrader) sayUndone(p *present) {
	p.status = u.statusText(p.reason)
	said := []notify.Assignment{notify.Status(p.status)}
	if p.reloading {
		said = append([]notify.Assignment{notify.Ready}, said...)
	}
	u.tellManager(said...)
}

// sayStop says that we end, and why if it is a failure.
func (u *Upgrader) sayStop(reason error) {
	status := fmt.Sprintf("generation %d finishes its work", u.generation)
	if reason != nil {
		status += ": " + reason.Error()
	}
	said := []notify.Assignment{notify.Stopping, notify.Status(status)}
	if errno := syscall.Errno(0); errors.As(reason, &errno) {
		said = append(said, notify.Errno(errno))
	}
	u.tellManager(said...)
}

// tellManager reports whether the manager was told.
func (u *Upgrader) tellManager(what ...notify.Assignment) bool {
	ctx, cancel := saying(u.life)
	defer cancel()
	err := u.notifier.Send(ctx, what...)
	if err != nil {
		u.log.Warn("manager cannot be told", "error", err)
	}
	return err == nil
}

// itself names this generation.
func (u *Upgrader) itself() string {
	name := fmt.Sprintf("generation %d", u.generation)
	if u.version != "" {
		name += " (" + u.version + ")"
	}
	return name
}

// sayOlder keeps the status of a main process true while older generations drain.
func (u *Upgrader) sayOlder(p *present) {
	if text := u.statusText(p.reason); text != p.status && u.tellManager(notify.Status(text)) {
		p.status = text
	}
}

// statusText says how a main process is doing that has no upgrade under way, and
// why the last one was undone, nil if none was.
func (u *Upgrader) statusText(undone *UpgradeError) string {
	text := u.itself() + " serves"
	if d := u.pred.drains(); d.Generations > 0 {
		text = u.itself() + ", " + drainingText(d)
	}
	if undone != nil {
		text += "; " + undone.text()
	}
	if lack := u.notStored(); lack != "" {
		text += "; not in the fd store: " + lack
	}
	return text + u.strays.text()
}

// mark begins the commit: what has to wait for the manager is done on a goroutine.
func (u *Upgrader) mark(p *present) {
	fault.At(fault.BeforeCommit)
	s := p.succ
	u.task(func() { // ends when the manager has answered, with the successor, or with life
		var proof *proof
		if u.supervised() && s.acknowledges {
			ctx, cancel := saying(u.life)
			proof = u.prove(ctx)
			cancel()
		}
		defer proof.close()
		fault.At(fault.MarksStored)
		told := make(chan struct{})
		u.post(event{kind: evMarked, from: s, proof: proof, told: told})
		select {
		case <-told:
			u.confirm(s, proof)
		case <-s.process.Over():
		case <-u.life.Done():
		}
	})
}

// commit hands the role of main process over. The successor hears of it before the
// manager does: if we die in between, it must not mistake that for an upgrade
// that was undone.
func (u *Upgrader) commit(p *present, e event) {
	s := p.succ
	u.passCommand(p)
	err := u.handStore(s)
	if err == nil {
		err = s.say(u.life, handover.Committing{})
	}
	if err != nil {
		p.self = append(p.self, event{kind: evCommitFailed, from: s, err: err})
		return
	}
	fault.At(fault.CommittingSaid)
	// Here and not on a goroutine: what is said after it must reach the manager
	// after it, also if the successor dies now.
	if err := u.sayMain(s.process.PID); err != nil {
		p.self = append(p.self, event{kind: evCommitFailed, from: s, err: err})
		return
	}
	if e.proof != nil {
		if err := s.say(u.life, handover.Acknowledge{}); err != nil { // confirm gets no answer, and does without
			u.log.Warn("successor cannot be asked whether it is main", "error", err)
		}
	}
	close(e.told)
}

// passCommand gives the successor the command that waits, so that it can answer if this
// process is killed before it does.
func (u *Upgrader) passCommand(p *present) {
	if p.request == nil || p.request.command == nil {
		return
	}
	f, err := p.request.command.Dup()
	if err == nil {
		defer f.Close()
		err = p.succ.say(u.life, handover.Command{FDs: []*fd.FD{f}})
	}
	if err != nil {
		u.log.Debug("command is not passed on", "error", err) // this process answers it, unless it is killed
	}
}

// sayMain is the commit: one datagram, authorised as a whole before MAINPID= applies.
func (u *Upgrader) sayMain(pid int) error {
	ctx, cancel := saying(u.life)
	defer cancel()
	said := []notify.Assignment{notify.MainPID(pid), notify.Ready, notify.Status(fmt.Sprintf("generation %d serves", u.generation+1))}
	if u.notifier.WatchdogTimeout() > 0 {
		said = append(said, notify.Ping) // MAINPID= does not reset the deadline: give the successor a whole one
	}
	return u.notifier.Send(ctx, said...)
}

// confirm waits until the manager has taken MAINPID=: a process that exits before
// takes the whole service down. A manager that is late is reported and waited for. If
// there is no proof, the barrier has to do: it shows that the manager has read
// MAINPID=.
func (u *Upgrader) confirm(s *successor, proof *proof) {
	fault.At(fault.MainPIDSaid)
	ctx, cancel := context.WithTimeout(u.life, confirmTimeout)
	defer cancel()
	err := u.barrier(ctx)
	if err != nil {
		u.post(event{kind: evUnconfirmed, from: s, err: err})
		err = u.barrier(u.life)
	}
	if err != nil {
		u.log.Warn("manager does not confirm the new main process", "pid", s.process.PID, "error", err)
	}
	v := u.judge(proof, s)
	u.log.Debug("MAINPID=", "pid", s.process.PID, "verdict", v)
	if v == refused {
		u.post(event{kind: evCommitFailed, from: s, err: whyRefused(s.process.PID)})
		return
	}
	u.post(event{kind: evConfirmed, from: s})
}

// barrierPause is the time between two attempts at a barrier.
const barrierPause = 10 * time.Millisecond

// barrier waits until the manager has read everything, also where descriptors are
// short: a barrier takes two, and nothing tells when somebody closes one.
func (u *Upgrader) barrier(ctx context.Context) error {
	for {
		err := u.notifier.Barrier(ctx)
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
