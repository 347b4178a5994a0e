package reexec

import "github.com/cutover-go/cutover/reexec/internal/callback"

// Draining reports whether a successor has taken over, or the process was asked to end. Then
// the program should finish its work.
//
// A generation that drains may serve again: if an upgrade in place was undone, or if the
// successor has died and no manager restarts the unit. Draining then returns false, and true
// again in the next drain.
func (u *Upgrader) Draining() bool { return closed(u.endings.Load().Draining) }

// Stopping reports whether the end of this process or program is waited for: after SIGTERM or
// Stop, before the manager restarts the unit, and before an execve in place. Then do not wait
// for idle clients. Draining returns true, too.
func (u *Upgrader) Stopping() bool { return closed(u.endings.Load().Stopping) }

// OnDrain makes the Upgrader call f each time this generation begins to drain, and again when
// Stopping begins to return true, which may be at the same time. If the generation drains
// already, the first call is at once. f tells one connection, or all connections of the
// program, to end:
//
//	defer u.OnDrain(func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })() // wakes a Read
//
// If the generation serves again and later drains again, f is called again. So f must not
// close a listener: Accept returns net.ErrClosed when no connection can come.
//
// Each call is on a goroutine of the Upgrader, one call of f at a time. No call begins after
// stop, which does not wait for a call that has begun.
func (u *Upgrader) OnDrain(f func()) (stop func()) {
	return u.endings.Watch(callback.Guard(u.log, "f of OnDrain", f))
}
