package notify

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// An Assignment is one thing to tell the service manager, a KEY=VALUE line of
// sd_notify(3). Its constructors check their arguments and never fail: the Send
// that gets the Assignment reports a mistake. Assignments are values; several
// goroutines may keep, copy and send them again.
//
// A manager that does not know an assignment yet ignores it; least versions are
// given where they matter. The zero Assignment says nothing and is refused.
type Assignment struct {
	key     string
	value   string
	stamp   string        // the value of MONOTONIC_USEC=, which goes with RELOADING=1
	free    bool          // value may be any text: make it fit instead of refusing it
	timeout time.Duration // of WATCHDOG_USEC=
	file    syscall.Conn  // goes beside the message; owned by the caller
	err     error         // the caller's mistake
}

// Assignments without a parameter. The package never writes to them.
var (
	// Ready says that the service has started, or has finished a reload
	// (READY=1). Only Type=notify and Type=notify-reload wait for it.
	Ready = Assignment{key: "READY", value: "1"}

	// Stopping says that the service ends by itself (STOPPING=1). The manager then
	// acts as after a stop request, but sends no signal. Stopping cannot be undone.
	Stopping = Assignment{key: "STOPPING", value: "1"}

	// Ping feeds the watchdog (WATCHDOG=1). RunWatchdog sends it by itself.
	Ping = Assignment{key: "WATCHDOG", value: "1"}

	// Trigger makes the manager act as if the watchdog had expired, also without
	// WatchdogSec= (WATCHDOG=trigger): SIGABRT, then what Restart= says.
	// Least version: systemd 243.
	Trigger = Assignment{key: "WATCHDOG", value: "trigger"}

	// RestartReset sets the unit's restart counter NRestarts to zero, and with it
	// the delay of RestartSteps= (RESTART_RESET=1). Least version: systemd 258.
	RestartReset = Assignment{key: "RESTART_RESET", value: "1"}
)

// Reloading says that the service now reloads its configuration (RELOADING=1).
// It must be followed by Ready when that is done, also when it failed. A reload
// that the manager has not asked for may be announced as well.
//
// It carries the present CLOCK_MONOTONIC time (MONOTONIC_USEC=), by which
// Type=notify-reload (systemd 253) tells the answer to its signal from an older
// message: call Reloading after the signal came, and anew for each reload.
func Reloading() Assignment {
	now, err := fd.Monotonic()
	return Assignment{key: "RELOADING", value: "1", stamp: strconv.FormatInt(now.Microseconds(), 10), err: err}
}

// Status is the line that `systemctl status` shows (STATUS=). Any text is allowed,
// Status(err.Error()) for example: line breaks become "; ", other control
// characters become spaces, and invalid UTF-8 becomes the replacement character. A
// text that does not fit into the message is cut and ends in "...". An empty text
// clears the line.
func Status(text string) Assignment {
	return Assignment{key: "STATUS", value: text, free: true}
}

// Access overrides the unit's NotifyAccess= until the service is dead or started
// anew (NOTIFYACCESS=): the processes that may send to the manager are "none",
// "main", "exec" or "all". Least version: systemd 254.
func Access(who string) Assignment {
	a := Assignment{key: "NOTIFYACCESS", value: who}
	switch who {
	case "none", "main", "exec", "all":
	default:
		a.err = fmt.Errorf("NOTIFYACCESS=%q: not none, main, exec or all", who)
	}
	return a
}

// Custom is an assignment that another manager than systemd knows.
// The key begins with X_ and has capitals, digits and underscores; the value is
// UTF-8 without line breaks and NUL.
func Custom(key, value string) Assignment {
	a := Assignment{key: key, value: value}
	rest, ok := strings.CutPrefix(key, "X_")
	if !ok || rest == "" || strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		a.err = fmt.Errorf("key %q: not X_ and capitals, digits, underscores", key)
	}
	return a
}
