package notify

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// An environment holds the values of the manager's variables.
type environment struct {
	socket   string        // $NOTIFY_SOCKET; empty: there is no manager
	watchdog time.Duration // $WATCHDOG_USEC, if it is meant for this process; else 0
	storeMax int           // $FDSTORE (systemd 254); 0: not told
}

// readEnvironment reads the environment of the process pid. It is the only
// place where this package does.
func readEnvironment(lookup func(string) (string, bool), pid int) (environment, error) {
	socket, _ := lookup("NOTIFY_SOCKET")
	if socket == "" {
		return environment{}, nil
	}
	watchdog, err := readWatchdog(lookup, pid)
	if err != nil {
		return environment{}, err
	}
	storeMax, err := readNumber(lookup, "FDSTORE", 0, math.MaxInt32)
	if err != nil {
		return environment{}, err
	}
	return environment{socket: socket, watchdog: watchdog, storeMax: int(storeMax)}, nil
}

// readWatchdog returns the watchdog timeout that the process pid has to observe,
// 0 if none. The rules are those of sd_watchdog_enabled(3): without WATCHDOG_PID,
// which a predecessor does not pass on, WATCHDOG_USEC applies to each process that
// reads it.
func readWatchdog(lookup func(string) (string, bool), pid int) (time.Duration, error) {
	usec, err := readNumber(lookup, "WATCHDOG_USEC", 1, math.MaxUint64-1)
	if err != nil || usec == 0 {
		return 0, err
	}
	watched, err := readNumber(lookup, "WATCHDOG_PID", 1, math.MaxInt32)
	if err != nil {
		return 0, err
	}
	if watched != 0 && int(watched) != pid && !isMisnumbered(lookup, pid) {
		return 0, nil
	}
	return time.Duration(min(usec, math.MaxInt64/1000)) * time.Microsecond, nil
}

// isMisnumbered reports whether WATCHDOG_PID is wrong for a process that it was
// meant for: with PrivatePIDs=, systemd 257 and 258 write a number of no use into
// it and into SYSTEMD_EXEC_PID alike (systemd/systemd#38137, fixed in 259).
func isMisnumbered(lookup func(string) (string, bool), pid int) bool {
	watched, _ := lookup("WATCHDOG_PID")
	started, _ := lookup("SYSTEMD_EXEC_PID")
	return pid == 1 && watched == started
}

// readNumber returns the number in the variable name, 0 if it is not set.
func readNumber(lookup func(string) (string, bool), name string, least, most uint64) (uint64, error) {
	text, ok := lookup(name)
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("environment variable %s=%q is not a number from %d to %d", name, text, least, most)
	}
	return n, nil
}
