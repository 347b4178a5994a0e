package notify

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// Errno says which system error the service failed with (ERRNO=); `systemctl
// status` shows its text. 0 takes it back.
func Errno(e syscall.Errno) Assignment {
	return Assignment{key: "ERRNO", value: strconv.Itoa(int(e))}
}

// BusError says which D-Bus error the service failed with (BUSERROR=), such as
// org.freedesktop.DBus.Error.TimedOut. The empty name takes it back.
// Least version: systemd 257.
func BusError(name string) Assignment {
	a := Assignment{key: "BUSERROR", value: name}
	if name != "" && !isBusName(name) {
		a.err = fmt.Errorf("BUSERROR=%q: not a D-Bus error name", name)
	}
	return a
}

// VarlinkError says which Varlink error the service failed with (VARLINKERROR=),
// such as org.varlink.service.InvalidParameter. The empty name takes it back.
// Least version: systemd 257.
func VarlinkError(name string) Assignment {
	a := Assignment{key: "VARLINKERROR", value: name}
	if name != "" && !isVarlinkName(name) {
		a.err = fmt.Errorf("VARLINKERROR=%q: not a Varlink error name", name)
	}
	return a
}

// ExitStatus is the exit status of a service, 0 to 255 (EXIT_STATUS=). systemd
// ignores it; a manager sends it to its own supervisor, such as the one of a
// virtual machine. Least version: systemd 254.
func ExitStatus(code int) Assignment {
	a := Assignment{key: "EXIT_STATUS", value: strconv.Itoa(code)}
	if code < 0 || code > 255 {
		a.err = fmt.Errorf("EXIT_STATUS=%d: not from 0 to 255", code)
	}
	return a
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// isBusName applies the rule of the D-Bus specification for error names: at
// least two elements of letters, digits and underscores, none begins with a digit.
func isBusName(name string) bool {
	elements := strings.Split(name, ".")
	for _, e := range elements {
		if !consistsOf(e, letters+digits+"_") || strings.Contains(digits, e[:1]) {
			return false
		}
	}
	return len(elements) >= 2 && len(name) <= 255
}

// isVarlinkName applies the rule of the Varlink interface definition: an
// interface name like org.example.thing, and a member that begins with a capital.
func isVarlinkName(name string) bool {
	elements := strings.Split(name, ".")
	for _, e := range elements {
		if !consistsOf(e, letters+digits+"-") || e[0] == '-' || e[len(e)-1] == '-' {
			return false
		}
	}
	member := elements[len(elements)-1]
	return len(elements) >= 3 && member[0] >= 'A' && member[0] <= 'Z' && !strings.Contains(member, "-") &&
		strings.Contains(letters, name[:1])
}

// consistsOf reports whether s has at least one byte and none outside set.
func consistsOf(s, set string) bool {
	return s != "" && strings.Trim(s, set) == ""
}
