package activation

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// firstFD is the number of the first passed descriptor, SD_LISTEN_FDS_START in
// sd-daemon.h.
const firstFD = 3

// Take claims every descriptor the service manager passed to this process. It
// removes LISTEN_PID, LISTEN_PIDFDID, LISTEN_FDS and LISTEN_FDNAMES from the
// environment, so no later program claims them again; a second call returns an
// empty Set.
//
// The Set owns the descriptors, all close-on-exec, until they are claimed or
// Close is called. A process that was not socket-activated gets an empty Set and
// no error, and so does one whose LISTEN_PID names another process. A malformed
// environment is an error wrapping [ErrEnvironment], and the descriptors that it
// counts are closed. An environment that counts descriptors which are not open is
// such an error, too; then Take closes none, because another part of the program may
// own them.
//
// Take neither blocks nor changes O_NONBLOCK. Call it early in main, before
// anything starts another program: until then a child would inherit the
// descriptors. It is safe for concurrent use. Outside Linux the Set is always
// empty. Protocol: sd_listen_fds(3).
func Take() (*Set, error) {
	env, fds, err := takeProcess()
	if err != nil {
		return nil, fmt.Errorf("activation: %w", err)
	}
	set, err := newSet(fds, env)
	if err != nil {
		return nil, fmt.Errorf("activation: %w", err)
	}
	return set, nil
}

// takeProcess takes the descriptors that the environment of this process names.
func takeProcess() (environment, []*fd.FD, error) {
	// Held for writing, the lock keeps a second Take out, and any fork: a child
	// started in between would hold the descriptors, or claim them for its own.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()

	env, err := readEnvironment(os.LookupEnv, process{pid: os.Getpid(), pidfdID: fd.PIDFDID})
	for _, name := range []string{listenPID, listenPIDFDID, listenFDs, listenFDNames} {
		err = errors.Join(err, os.Unsetenv(name))
	}
	fds, inheritErr := fd.Inherit(firstFD, env.count)
	if errors.Is(inheritErr, errors.ErrUnsupported) {
		return environment{}, nil, nil
	}
	if inheritErr != nil {
		err = errors.Join(err, fmt.Errorf("%w: %s=%d: %w; clear LISTEN_* when a wrapper starts the program without the descriptors, "+
			"and let nothing else take them", ErrEnvironment, listenFDs, env.count, inheritErr))
	}
	if err != nil {
		fd.CloseAll(fds)
		return environment{}, nil, err
	}
	return env, fds, nil
}
