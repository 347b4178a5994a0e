package reexec

import "time"

// tardiness is how late a timer of a process that runs may be.
const tardiness = 50 * time.Millisecond

// deadline is the time of a state. A process that did not run, because it was stopped,
// frozen or starved, finds at once that the time is over and that the events it waited
// for are there. It gets back as much time as the timer was late, once, and at most the
// whole time again: systemd's TimeoutStopSec= does not stand still meanwhile.
type deadline struct {
	*time.Timer
	length time.Duration
	due    time.Time
	again  bool // time was given back
}

func newDeadline() *deadline { return &deadline{Timer: newTimer()} }

// newTimer returns a timer that does not run.
func newTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// Reset starts the time of a state.
func (d *deadline) Reset(length time.Duration) {
	d.again = false
	d.start(length)
}

func (d *deadline) start(length time.Duration) {
	d.length, d.due = length, time.Now().Add(length)
	d.Timer.Reset(length)
}

// over reports whether the time is over, after the timer has fired. If not, it starts
// the timer for the time that is given back.
func (d *deadline) over() bool {
	late := time.Since(d.due)
	if d.again || late < tardiness {
		return true
	}
	d.again = true
	d.start(min(late, d.length))
	return false
}
