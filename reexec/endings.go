package reexec

// Draining returns a channel that is closed when a successor has taken over, or the process
// was asked to end. Then the program should finish its work, call Drain and return.
//
// In two cases this generation serves again after that: an upgrade in place was undone, or
// the successor has died and no manager restarts the unit. Drain continues to block, Accept
// returns connections, and Draining and Stopping return new channels. A program that calls
// Draining for each connection or request is right in these cases without knowing them: work
// ends with the drain that begins while it runs.
func (u *Upgrader) Draining() <-chan struct{} { return u.endings.Load().Draining }

// Stopping returns a channel that is closed when the end of this process or program is
// waited for: after SIGTERM or Stop, before the manager restarts the unit, and before an
// execve in place. Once it is closed, do not wait for idle clients.
func (u *Upgrader) Stopping() <-chan struct{} { return u.endings.Load().Stopping }
