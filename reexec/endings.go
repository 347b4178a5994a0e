package reexec

// endings are what tells the program that this generation ends. The loop closes them,
// and puts new ones in their place where the generation serves again after all: an
// upgrade in place was undone, or no manager restarts a successor that has died.
type endings struct {
	draining, stopping, resumed chan struct{}
}

func newEndings() *endings {
	return &endings{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

// drains says that the generation ends, and stops that somebody waits for that.
func (e *endings) drains() { closeOnce(e.draining) }

func (e *endings) stops() {
	e.drains()
	closeOnce(e.stopping)
}

// serveOn takes back what was said of an end, if it was.
func (u *Upgrader) serveOn() {
	if e := u.endings.Load(); closed(e.draining) {
		u.endings.Store(newEndings())
		close(e.resumed)
	}
}

// Draining is closed when a successor has taken over, or the process was asked to
// end. The program should finish what it has in work, call Drain and return.
func (u *Upgrader) Draining() <-chan struct{} { return u.endings.Load().draining }

// Stopping is closed when somebody waits for this process to end: it was asked
// to, by SIGTERM or Stop, or the manager is about to restart the unit, or the program
// is about to be replaced in place. Then it is not the time to wait for idle clients.
func (u *Upgrader) Stopping() <-chan struct{} { return u.endings.Load().stopping }

// Resumed is closed when this generation serves again after Draining was closed: an
// upgrade in place was undone, or the successor has died where no manager starts the
// next. Drain has not returned then, and goes on to block; Draining, Stopping and
// Resumed return new channels from then on.
func (u *Upgrader) Resumed() <-chan struct{} { return u.endings.Load().resumed }
