package notify

import (
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// An Assignment is one thing to tell the service manager, a KEY=VALUE line of
// sd_notify(3). Its constructors check what they are given and never fail: a
// mistake is reported by the Send that is asked to send it. Assignments are
// values; they may be kept, copied and sent again, by several goroutines.
//
// The zero Assignment says nothing and is refused.
type Assignment struct {
	key   string
	value string
	stamp string       // the value of MONOTONIC_USEC=, which goes with RELOADING=1
	free  bool         // value is anybody's text: make it fit instead of refusing it
	file  syscall.Conn // goes beside the message; owned by the caller
	err   error        // the caller's mistake
}

// What a service says about itself in one word. They are never written to.
var (
	// Ready says that the service has started, or has finished a reload
	// (READY=1). Only services of Type=notify and Type=notify-reload are waited for.
	Ready = Assignment{key: "READY", value: "1"}

	// Stopping says that the service ends of its own accord (STOPPING=1). The
	// manager then treats it as if `systemctl stop` had been called, but sends no
	// signal. It cannot be taken back.
	Stopping = Assignment{key: "STOPPING", value: "1"}

	// Alive feeds the watchdog (WATCHDOG=1). RunWatchdog sends it by itself.
	Alive = Assignment{key: "WATCHDOG", value: "1"}

	// Trigger makes the manager act as if the watchdog had expired, also without
	// WatchdogSec= (WATCHDOG=trigger): it kills the service with SIGABRT and
	// follows Restart=. Least version: systemd 243.
	Trigger = Assignment{key: "WATCHDOG", value: "trigger"}

	// RestartReset sets the unit's restart counter NRestarts to zero, and with it
	// the delay of RestartSteps= (RESTART_RESET=1). Least version: systemd 258,
	// ignored before.
	RestartReset = Assignment{key: "RESTART_RESET", value: "1"}
)

// Reloading says that the service now reloads its configuration (RELOADING=1).
// It must be followed by Ready when that is done, also when it failed. A reload
// that the manager has not asked for may be announced as well.
//
// The message carries the present CLOCK_MONOTONIC time (MONOTONIC_USEC=), by which
// Type=notify-reload (systemd 253) tells the answer to its signal from an older
// message: call Reloading after the signal came, and anew for each reload.
func Reloading() Assignment {
	now, err := fd.Monotonic()
	return Assignment{key: "RELOADING", value: "1", stamp: strconv.FormatInt(now.Microseconds(), 10), err: err}
}

// Status is the line that `systemctl status` shows (STATUS=). Any text will do,
// Status(err.Error()) for example: line breaks become "; ", other control
// characters spaces, what is not UTF-8 the replacement character, and what does
// not fit into the message beside the other assignments is cut off, which "..."
// shows. An empty text clears the line.
func Status(text string) Assignment {
	return Assignment{key: "STATUS", value: text, free: true}
}

// MainPID makes the process pid the unit's main process (MAINPID=). The manager
// refuses a process outside the unit's cgroup and says so only in its own log.
//
// pid is a number of the manager's PID namespace. In a service with PrivatePIDs=
// use MainPIDFD.
func MainPID(pid int) Assignment {
	a := Assignment{key: "MAINPID", value: strconv.Itoa(pid)}
	if pid <= 1 {
		a.err = fmt.Errorf("MAINPID=%d: no service can have this process as main; in a PID namespace of its own it is named by MainPIDFD", pid)
	}
	return a
}

// ExtendTimeout asks for at least d from now for what the unit is doing: starting,
// reloading, running (RuntimeMaxSec=), stopping, and for the watchdog too
// (EXTEND_TIMEOUT_USEC=). Repeat it before d is over. Least version: systemd 236.
func ExtendTimeout(d time.Duration) Assignment {
	a := Assignment{key: "EXTEND_TIMEOUT_USEC", value: microseconds(d)}
	if d <= 0 {
		a.err = fmt.Errorf("EXTEND_TIMEOUT_USEC=: %v is no extension", d)
	}
	return a
}

// microseconds renders d as the manager counts, rounded up, so that a timeout
// does not become zero.
func microseconds(d time.Duration) string {
	us := d / time.Microsecond
	if d%time.Microsecond > 0 {
		us++
	}
	return strconv.FormatInt(int64(us), 10)
}
