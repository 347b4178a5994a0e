// Package deadline has a timer that does not count the time in which the process was stopped.
package deadline

import "time"

// tardiness is the largest delay of a timer in a process that runs without a break.
const tardiness = 50 * time.Millisecond

// A Timer is a timer. If the process was stopped, frozen or starved, the timer fires at the
// same moment as the events that the process waits for. A timer that fires more than
// tardiness late is restarted once, for the time that it was late and at most for its whole
// length, because systemd's TimeoutStopSec= goes on meanwhile.
type Timer struct {
	*time.Timer
	Due    time.Time // time at which the timer fires
	length time.Duration
	again  bool // the timer was restarted
}

// New returns a stopped Timer.
func New() *Timer { return &Timer{Timer: NewStopped()} }

// NewStopped returns a stopped timer.
func NewStopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// Reset starts the timer.
func (d *Timer) Reset(length time.Duration) {
	d.again = false
	d.start(length)
}

// Shorten makes a running timer fire within length.
func (d *Timer) Shorten(length time.Duration) {
	if time.Until(d.Due) > length {
		d.Reset(length)
	}
}

func (d *Timer) start(length time.Duration) {
	d.length, d.Due = length, time.Now().Add(length)
	d.Timer.Reset(length)
}

// Over reports whether the time is Over after the timer has fired. If the timer was late,
// Over restarts it once and returns false.
func (d *Timer) Over() bool {
	late := time.Since(d.Due)
	if d.again || late < tardiness {
		return true
	}
	d.again = true
	d.start(min(late, d.length))
	return false
}
