package reexec

import (
	"context"
	"errors"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file ends a generation: Stop, Fail, Close and the drain deadline.

// withdraw accepts no more, for good. With a manager, units and fd store keep the
// sockets for the next start, so clients may wait in their queues; without one,
// waiting would be in vain. A successor that is not main leaves them to its
// predecessor.
func (u *Upgrader) withdraw(p *present, e event) {
	fault.At(fault.StopAsked)
	if p.restart = e.restart && p.main && u.notifier.StoreMax() > 0; p.restart {
		u.receives.set(u.receives.said()) // so does the next process, for all we know
	}
	u.endings.Load().drains() // before the listeners fail: a server must see why
	u.sockets.shut()
	u.leaveParking(p) // before Accept fails
	fault.At(fault.StopGatesShut)
	if p.main {
		u.sockets.finish()
	}
	if p.main && !u.supervised() {
		_ = u.sockets.abandon() // nobody uses them again; Close reports nothing new
	}
}

// expire gives up what is held at the drain deadline. A program that has not called Drain
// sees the end of Accept, and the main process tells its manager.
func (u *Upgrader) expire(p *present) {
	u.drain.expire()
	u.sockets.refuse()
	if p.overdue {
		return
	}
	p.overdue = true
	u.log.Warn("drain deadline reached: Accept and ReadFrom return net.ErrClosed, and this process should end",
		"generation", u.generation, "held", u.drain.count())
	if p.succ != nil {
		u.sayDraining(p)
	}
}

// refuseAll ends Accept in a process that was asked to end and has nothing in work: a
// program whose accept loop is all that it waits for ends then.
func (u *Upgrader) refuseAll() {
	if u.drain.isIdle() { // and not only when this event was posted
		u.sockets.refuse()
	}
}

func (u *Upgrader) sayStopping(p *present, e event) {
	u.tellPredecessor(p, handover.Stopping{})
	if p.main {
		u.sayStop(e.err)
	}
}

// releaseAll closes everything, and leaves a predecessor that still drains the
// line to our successor.
func (u *Upgrader) releaseAll(p *present) {
	fault.At(fault.Drained)
	if p.state == arriving {
		u.tellPredecessor(p, handover.Failed{Reason: u.whyNotReady()})
	}
	finished := p.state == draining || p.state == leaving
	if finished {
		u.sayGoodbye(p)
		u.observe(p, EventDrained, nil)
	}
	u.abandonMoves(p)
	u.dropSuccessor(p)
	u.closeErr = u.release(p.main)
	u.endLife()
}

func (u *Upgrader) whyNotReady() string {
	if err := u.failure.Load(); err != nil {
		return (*err).Error()
	}
	return "the successor ended before it was ready (what it wrote says why)"
}

// Stop asks this generation to end, as SIGTERM does: it accepts no more, and
// Draining and Stopping are closed. It does not wait.
func (u *Upgrader) Stop() { u.post(event{kind: evStop}) }

// Fail says that this generation cannot serve, and why. A successor that calls it
// before Ready, or within its trial, undoes the upgrade: its predecessor serves on,
// or accepts again, and reports reason to whoever asked for the upgrade. A main
// process stops, as by Stop, and tells the manager (STATUS=, and ERRNO= if there is a
// [syscall.Errno] in reason). It does not wait; the program then ends as after Stop.
func (u *Upgrader) Fail(reason error) {
	if reason == nil {
		reason = errors.New("Fail was called without a reason")
	}
	u.failed.CompareAndSwap(nil, &reason)
	u.post(event{kind: evFail, err: reason})
}

// Close ends this generation: it closes the listeners and the control socket,
// kills a successor that has not taken over, and waits for the goroutines of the
// Upgrader. A successor that closes before it was ready has failed, and its
// predecessor is told why, if a Listen had failed. Call Close last in main. A
// second call does nothing.
//
// Functions of the program that are under way, a Save, an Observe, have half a
// second to return. Close does not wait longer for them.
func (u *Upgrader) Close() error {
	var err error
	if u.ending.CompareAndSwap(false, true) {
		err = u.lastCheckpoint()
	}
	u.post(event{kind: evClose})
	<-u.loopDone
	u.tasks.Wait()
	u.callbacks.wait()
	return errors.Join(err, u.closeErr)
}

// lastCheckpoint saves the state of a main process that ends, for the manager's
// next one.
func (u *Upgrader) lastCheckpoint() error {
	if r := u.Status(); !r.main || r.State != leaving.String() {
		return nil
	}
	ctx, cancel := saying(context.Background())
	defer cancel()
	fault.At(fault.StopDrained)
	err := u.Checkpoint(ctx)
	fault.At(fault.StateStored)
	if errors.Is(err, ErrNotReady) {
		return nil // stopped during the start: the state of the process before stays in the fd store
	}
	return err
}

// release closes what a generation has open. It runs on the loop, or in New
// before there is one. The name of the control socket belongs to the main process.
func (u *Upgrader) release(main bool) error {
	var errs []error
	for _, a := range u.arrived {
		a.close()
	}
	u.parking.close()
	u.reserve.Close()
	if u.sockets != nil {
		errs = append(errs, u.sockets.close())
	}
	if u.control != nil {
		errs = append(errs, u.control.Close(main))
	}
	u.pred.forget()
	if c := u.pred.takeCommand(); c != nil {
		_ = c.Close() // the predecessor answers it
	}
	errs = append(errs, u.states.close())
	return errors.Join(append(errs, u.notifier.Close())...)
}
