package reexec

import "time"

// tardiness is how late a timer of a process that runs may be.
const tardiness = 50 * time.Millisecond

// deadline is the time of a state. A process that did not run for long, because it
// was stopped, frozen or starved, finds its time over and what it waited for there,
// both at once. What it did not run does not count, so it gets the time again, once.
type deadline struct {
	*time.Timer
	length time.Duration
	due    time.Time
	again  bool // the time was given twice
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

// over reports whether the time is over, the timer having fired, and starts it
// again if not.
func (d *deadline) over() bool {
	if d.again || time.Since(d.due) < tardiness {
		return true
	}
	d.again = true
	d.start(d.length)
	return false
}
