package activation

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ErrEnvironment is wrapped by the error of [Take] for LISTEN_* variables that
// contradict each other or the open descriptors. The variables are removed from the
// environment then. The descriptors are closed, unless some of the counted ones do
// not exist.
var ErrEnvironment = errors.New("malformed activation environment")

// The variables that the service manager sets; sd_listen_fds(3), systemd.exec(5).
const (
	listenPID     = "LISTEN_PID"
	listenPIDFDID = "LISTEN_PIDFDID" // systemd 259
	listenFDs     = "LISTEN_FDS"
	listenFDNames = "LISTEN_FDNAMES" // systemd 227
	execPID       = "SYSTEMD_EXEC_PID"
	remoteHost    = "REMOTE_ADDR" // Accept=yes
	remotePort    = "REMOTE_PORT"
)

// unnamed is every descriptor's name where LISTEN_FDNAMES is missing.
const unnamed = "unknown"

// environment holds the values of the variables.
type environment struct {
	count int      // descriptors from firstFD on, 0 if none are for this process
	names []string // count of them; nil if the manager named none

	// remote is the client of an Accept=yes unit; nil if the variables do not name it
	// or it has no IP address.
	remote *net.TCPAddr
}

// name returns the name of descriptor i, counted from 0.
func (e environment) name(i int) string {
	if e.names == nil {
		return unnamed
	}
	return e.names[i]
}

// process identifies the process that reads the environment.
type process struct {
	pid     int
	pidfdID func() (uint64, error)
}

// readEnvironment applies the rules of sd_listen_fds_with_names: no LISTEN_PID, or
// that of another process, means that nothing was passed. An error may come with
// a count, which then says how many descriptors the error leaves ownerless.
func readEnvironment(lookup func(string) (string, bool), self process) (environment, error) {
	ours, err := addressed(lookup, self)
	if err != nil || !ours {
		return environment{}, err
	}
	text, ok := lookup(listenFDs)
	if !ok {
		return environment{}, nil
	}
	count, err := strconv.ParseUint(text, 10, 31)
	if err != nil || count == 0 || count > math.MaxInt32-firstFD {
		return environment{}, malformed(listenFDs, text, "want the number of descriptors passed, at least 1")
	}
	env := environment{count: int(count), remote: remote(lookup)}
	if text, ok = lookup(listenFDNames); !ok {
		return env, nil
	}
	env.names = strings.Split(text, ":")
	if len(env.names) != env.count {
		return environment{count: env.count}, malformed(listenFDNames, text, fmt.Sprintf(
			"%d names for %s=%d: pass one FileDescriptorName= for each descriptor, separated by colons", len(env.names), listenFDs, env.count))
	}
	return env, nil
}

func malformed(name, value, want string) error {
	return fmt.Errorf("%w: %s=%q: %s", ErrEnvironment, name, value, want)
}

// addressed reports whether the variables are meant for this process. A child that
// inherited them, or the program behind a shell that did not exec it, is not.
func addressed(lookup func(string) (string, bool), self process) (bool, error) {
	text, ok := lookup(listenPID)
	if !ok {
		return false, nil
	}
	pid, err := strconv.ParseUint(text, 10, 31)
	if err != nil || pid == 0 {
		return false, malformed(listenPID, text, "want the process ID that the descriptors are for")
	}
	id, stamped := lookup(listenPIDFDID)
	if int(pid) != self.pid {
		return !stamped && privatePIDs(lookup, self, text), nil
	}
	if !stamped {
		return true, nil
	}
	want, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return false, malformed(listenPIDFDID, id, "want the inode number of the process's pidfd")
	}
	got, err := self.pidfdID()
	// It only counts where it can be read, and is right.
	return err != nil || got == want || privatePIDs(lookup, self, text), nil
}

// privatePIDs recognises the main process of a unit with PrivatePIDs=. On systemd
// 257 and 258 its LISTEN_PID is neither its PID inside the namespace, 1, nor the
// one outside, but SYSTEMD_EXEC_PID is wrong in the same way (systemd issue 38137).
// On 262.1 both are right, and LISTEN_PIDFDID is that of another process.
func privatePIDs(lookup func(string) (string, bool), self process, pid string) bool {
	exec, ok := lookup(execPID)
	return ok && self.pid == 1 && exec == pid
}

func remote(lookup func(string) (string, bool)) *net.TCPAddr {
	host, _ := lookup(remoteHost)
	port, _ := lookup(remotePort)
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return nil // a unix or vsock peer, which the socket itself names
	}
	return net.TCPAddrFromAddrPort(addr)
}
