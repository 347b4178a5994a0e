package notify

import (
	"fmt"
	"strconv"
	"time"
)

// ExtendTimeout extends the running timeout of the unit to at least d from now:
// start, reload, run (RuntimeMaxSec=), stop, and the watchdog (EXTEND_TIMEOUT_USEC=).
// Repeat it before d is over. Least version: systemd 236.
func ExtendTimeout(d time.Duration) Assignment {
	a := Assignment{key: "EXTEND_TIMEOUT_USEC", value: microseconds(d)}
	if d <= 0 {
		a.err = fmt.Errorf("EXTEND_TIMEOUT_USEC=: %v is no extension", d)
	}
	return a
}

// WatchdogTimeout sets the watchdog's timeout for the rest of this run, whatever
// WatchdogSec= says, and starts it anew; 0 switches the watchdog off
// (WATCHDOG_USEC=). RunWatchdog adjusts its pace. A successor of this process has
// the old value in its environment and must be told.
func WatchdogTimeout(d time.Duration) Assignment {
	a := Assignment{key: "WATCHDOG_USEC", value: microseconds(d), timeout: d}
	if d < 0 {
		a.err = fmt.Errorf("WATCHDOG_USEC=: %v is negative", d)
	}
	return a
}

// microseconds renders d as the manager counts, rounded up, so that no timeout
// becomes 0.
func microseconds(d time.Duration) string {
	us := d / time.Microsecond
	if d%time.Microsecond > 0 {
		us++
	}
	return strconv.FormatInt(int64(us), 10)
}
