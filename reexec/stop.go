package reexec

import (
	"context"
	"errors"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file ends a generation: Stop, Fail, Close and the drain deadline.

// stopAccepting stops accepting for good. With a manager, units and fd store keep the sockets
// for the next start, so clients may wait in their queues. Without a manager the main
// process closes its listeners, because clients would wait in vain. A successor that is
// not main leaves the sockets to its predecessor.
func (u *Upgrader) stopAccepting(p *loopState, e event) {
	fault.At(fault.StopAsked)
	if p.restart = e.restart && p.main && u.manager.notifier.StoreMax() > 0; p.restart {
		u.conns.outbox.SetNext(u.conns.receives.Final(), nil) // assume that the next process takes the same formats
	}
	u.endings.Drains() // before Accept fails, so that a server sees the reason
	u.sockets.Shut()
	u.moveIdle(p) // before Accept fails
	fault.At(fault.StopGatesShut)
	if p.main {
		u.sockets.Finish()
	}
	if p.main && !u.supervised() {
		_ = u.sockets.Abandon() // the sockets are not used again; Close reports nothing new
	}
}

// endDrain ends Drain at the drain deadline, although work is held. In a program that has not
// called Drain, Accept returns net.ErrClosed, and so do reads of flows after serviceGrace. The successor is told, because the main
// process reports overdue generations to the manager.
func (u *Upgrader) endDrain(p *loopState) {
	if !p.overdue {
		p.overdue = true
		u.log.Warn("drain deadline reached: Accept and ReadFrom return net.ErrClosed, and this process should end",
			"generation", u.launch.generation, "held", u.drain.Count())
		if p.succ != nil {
			u.sayDraining(p)
		}
	}
	u.endAccept(u.drain.Expire)
	u.tasks.Go(func() { // ends after serviceGrace, or with life
		select {
		case <-time.After(serviceGrace): // a server first tells its clients that it ends, and reads their answers
			u.sockets.RefuseFlows()
		case <-u.tasks.life.Done():
		}
	})
}

// endAcceptWhenIdle ends Accept in a process that was asked to end and has no work left. A program
// that waits only for its accept loop ends then.
func (u *Upgrader) endAcceptWhenIdle() {
	if u.drain.Idle() { // work may have begun since this event was posted
		u.endAccept(func() {})
	}
}

// endAccept calls first and ends Accept. The program may end as soon as it sees that, so
// the lines that are logged by now have their time before.
func (u *Upgrader) endAccept(first func()) {
	u.tasks.Go(func() { // ends within callback.Grace
		u.tasks.callbacks.Logs.Wait(callback.Grace)
		first()
		u.sockets.Refuse()
	})
}

func (u *Upgrader) sayStopping(p *loopState, e event) {
	u.tellPredecessor(p, handover.Stopping{})
	if p.main {
		if e.err == nil { // else this program has failed
			u.manager.probation.Forget(u.tasks.life)
		}
		u.sayStop(e.err)
	}
}

// releaseAll closes everything. A predecessor that still drains gets the line to our
// successor.
func (u *Upgrader) releaseAll(p *loopState) {
	fault.At(fault.Drained)
	if p.state == lifecycle.Initialising {
		u.tellPredecessor(p, handover.Failed{Reason: u.whyNotReady()})
	}
	finished := p.state == lifecycle.Draining || p.state == lifecycle.Stopping
	if finished {
		u.handOff(p)
		u.observe(p, eventDrained, nil)
	}
	u.conns.outbox.Abandon(ErrStopped)
	for _, a := range u.conns.saved {
		a.Close() // there is no execve
	}
	p.dropThird()
	u.dropSuccessor(p)
	u.loop.err = u.release(p.main)
	u.tasks.endLife()
}

func (u *Upgrader) whyNotReady() string {
	if err := u.sockets.Failure(); err != nil {
		return err.Error()
	}
	return "the successor called Close before it was ready: see its log for the reason"
}

// Stop asks this generation to end, like SIGTERM: it stops accepting, and Draining and
// Stopping are closed. Stop does not wait for the end.
func (u *Upgrader) Stop() { u.loop.post(event{kind: lifecycle.EvStop}) }

// Fail reports that this generation cannot serve. In a successor, before Ready or within
// its trial, Fail undoes the upgrade: the predecessor goes on serving, or accepts again,
// and answers the upgrade request with reason. A main process stops, as by Stop, and sends
// reason to the manager in STATUS=, and in ERRNO= if reason wraps a [syscall.Errno]. Fail
// does not wait. The program then ends as after Stop.
func (u *Upgrader) Fail(reason error) {
	if reason == nil {
		reason = errors.New("Fail was called without a reason")
	}
	u.ready.failed.CompareAndSwap(nil, &reason)
	u.loop.post(event{kind: lifecycle.EvFail, err: reason})
}

// Close ends this generation: it closes the listeners and the control socket, kills a
// successor that has not taken over, and waits for the goroutines of the Upgrader. A
// successor that calls Close before Ready has failed: the predecessor receives the error of
// the last Listen, ListenPacket, ListenFlows or Claim that failed. Call Close last in main.
// A second call does nothing.
//
// Close waits up to half a second for functions of the program that are running, such as
// a Save or an Observe.
func (u *Upgrader) Close() error {
	var err error
	if u.loop.closing.CompareAndSwap(false, true) {
		err = u.lastCheckpoint()
	}
	u.loop.post(event{kind: lifecycle.EvClose})
	<-u.loop.done
	u.tasks.Wait()
	u.tasks.callbacks.Wait()
	return errors.Join(err, u.loop.err)
}

// lastCheckpoint stores the final state of a main process that stops, for the process that
// the manager starts next.
func (u *Upgrader) lastCheckpoint() error {
	if r := u.Status(); !r.Main || r.State != lifecycle.Stopping.String() {
		return nil
	}
	ctx, cancel := timeout.Message(context.Background())
	defer cancel()
	fault.At(fault.StopDrained)
	err := u.Checkpoint(ctx)
	fault.At(fault.StateStored)
	if errors.Is(err, ErrNotReady) {
		return nil // stopped during the start: the state of the process before stays in the fd store
	}
	return err
}

// release closes every descriptor of this generation. It runs on the loop, or in New
// before the loop starts. Only the main process removes the path of the control socket.
func (u *Upgrader) release(main bool) error {
	var errs []error
	for _, a := range u.conns.received {
		a.Close()
	}
	u.conns.idle.Close()
	u.reserve.Close()
	if u.sockets != nil {
		errs = append(errs, u.sockets.Close())
	}
	if u.commands.socket != nil {
		errs = append(errs, u.commands.socket.Close(main))
	}
	u.pred.Forget()
	if c := u.pred.TakeReloadCommand(); c != nil {
		_ = c.Close() // the predecessor answers it
	}
	errs = append(errs, u.states.Close())
	u.manager.good.Close()
	return errors.Join(append(errs, u.manager.notifier.Close())...)
}
