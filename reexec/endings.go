package reexec

// endings are the channels of Draining, Stopping and Resumed. The loop closes them. It
// replaces them when the generation serves again: an upgrade in place was undone, or the
// successor has died and no manager restarts the unit.
type endings struct {
	draining, stopping, resumed chan struct{}
}

func newEndings() *endings {
	return &endings{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

// drains closes draining, which tells the program that the generation ends.
func (e *endings) drains() { closeOnce(e.draining) }

// stops closes draining and stopping: another process waits for the end of this one.
func (e *endings) stops() {
	e.drains()
	closeOnce(e.stopping)
}

// serveOn replaces the endings and closes resumed, if draining was closed.
func (u *Upgrader) serveOn() {
	if e := u.endings.Load(); closed(e.draining) {
		u.endings.Store(newEndings())
		close(e.resumed)
	}
}

// Draining returns a channel that is closed when a successor has taken over, or the process
// was asked to end. Then the program should finish its work, call Drain and return.
func (u *Upgrader) Draining() <-chan struct{} { return u.endings.Load().draining }

// Stopping returns a channel that is closed when the end of this process or program is
// waited for: after SIGTERM or Stop, before the manager restarts the unit, and before an
// execve in place. Once it is closed, do not wait for idle clients.
func (u *Upgrader) Stopping() <-chan struct{} { return u.endings.Load().stopping }

// Resumed returns a channel that is closed when this generation serves again after Draining
// was closed: an upgrade in place was undone, or the successor has died and no manager
// restarts the unit. Drain continues to block. Draining, Stopping and Resumed return new
// channels from then on.
func (u *Upgrader) Resumed() <-chan struct{} { return u.endings.Load().resumed }
