package reexec

import "time"

// tardiness is the largest delay of a timer in a process that runs without a break.
const tardiness = 50 * time.Millisecond

// deadline is the timer of a state. If the process was stopped, frozen or starved, the timer
// fires at the same moment as the events that the process waits for. A timer that fires more
// than tardiness late is restarted once, for the time that it was late and at most for its
// whole length, because systemd's TimeoutStopSec= goes on meanwhile.
type deadline struct {
	*time.Timer
	length time.Duration
	due    time.Time
	again  bool // the timer was restarted
}

func newDeadline() *deadline { return &deadline{Timer: newTimer()} }

// newTimer returns a stopped timer.
func newTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// Reset starts the timer for a state.
func (d *deadline) Reset(length time.Duration) {
	d.again = false
	d.start(length)
}

func (d *deadline) start(length time.Duration) {
	d.length, d.due = length, time.Now().Add(length)
	d.Timer.Reset(length)
}

// over reports whether the time is over after the timer has fired. If the timer was late,
// over restarts it once and returns false.
func (d *deadline) over() bool {
	late := time.Since(d.due)
	if d.again || late < tardiness {
		return true
	}
	d.again = true
	d.start(min(late, d.length))
	return false
}
