package reexec

// Draining returns a channel that is closed when a successor has taken over, or the process
// was asked to end. Then the program should finish its work, call Drain and return.
func (u *Upgrader) Draining() <-chan struct{} { return u.endings.Load().Draining }

// Stopping returns a channel that is closed when the end of this process or program is
// waited for: after SIGTERM or Stop, before the manager restarts the unit, and before an
// execve in place. Once it is closed, do not wait for idle clients.
func (u *Upgrader) Stopping() <-chan struct{} { return u.endings.Load().Stopping }

// Resumed returns a channel that is closed when this generation serves again after Draining
// was closed: an upgrade in place was undone, or the successor has died and no manager
// restarts the unit. Drain continues to block. Draining, Stopping and Resumed return new
// channels from then on.
func (u *Upgrader) Resumed() <-chan struct{} { return u.endings.Load().Resumed }
