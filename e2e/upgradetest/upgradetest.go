// Package upgradetest is a small service manager in one process: it does
// systemd's part for a daemon that is started, reloaded, restarted and stopped,
// so that its upgrades can be tested in milliseconds and on machines without
// systemd. It needs no root and runs on a minimal Linux.
//
// A [Manager] reads the .socket and .service text that systemd would read, opens
// the sockets, starts real processes with LISTEN_FDS and NOTIFY_SOCKET, keeps
// the file descriptor store, follows MAINPID=, reloads, restarts, stops, reaps:
//
//	func TestMain(m *testing.M) {
//		upgradetest.Init() // does not return in the processes that a Manager starts
//		os.Exit(m.Run())
//	}
//
//	m, err := upgradetest.NewManager(upgradetest.Options{})
//	defer m.Close()
//	err = m.Install(ctx, "web.socket", "[Socket]\nListenStream=127.0.0.1:0\n")
//	err = m.Install(ctx, "web.service", "[Service]\nType=notify\nExecStart="+program+"\n")
//	err = m.Start(ctx, "web.socket")
//	addr, err := m.Show(ctx, "web.socket", "Listen") // "127.0.0.1:41873 (Stream)"
//
// # Versions
//
// [Options].Version names the systemd that a Manager resembles. Where versions
// differ (notify-reload from 253, $FDSTORE from 254, MAINPIDFD= from 257 ...) the
// Manager behaves as that version. Where systemd leaves the order undefined, the order is
// random: descriptors of one FDSTORE=1 message come
// back in any order, and so do the sockets of several units.
//
// # Cleaning up
//
// Close ends every process of the units, including descendants and generations that
// still drain, and removes the files. If the host program ends without Close, by a
// panic or a signal, a small process that each Manager starts does the same.
//
// # Differences to systemd
//
// A process group stands for the unit's cgroup: each process that the Manager
// starts leads one, and its descendants belong to the unit as long as they do
// not leave it (setsid, setpgid). A successor started with CLONE_PARENT is a
// child of the Manager and a member. The Manager waits for its own groups only,
// so the host program may use os/exec; it must not wait for "any child" itself.
//
// A process outside of the unit's groups is never signalled and never becomes
// main process, although systemd accepts one from a sender with uid 0. The Manager
// supervises a main process that is not its child as badly as systemd does; in
// addition its exit status is unknown and counts as success.
//
// There are no sandbox and no users: such settings are ignored with a line in
// [Manager.Log], as systemd does with settings that it does not know. Settings
// that change the result of a test, such as Type=forking or Accept=yes, are refused
// by [Manager.Install]. Port 0 in ListenStream= is an extension.
package upgradetest

import (
	"errors"
	"fmt"
	"io"
)

// DefaultVersion is the version of systemd that a Manager resembles by default:
// that of Debian 12.
const DefaultVersion = 252

// ErrClosed is returned by the methods of a Manager that has been closed.
var ErrClosed = errors.New("upgradetest: manager is closed")

// Options says how a Manager works. The zero value is ready to use.
type Options struct {
	// Dir takes the notify socket and the runtime directories; %t in unit files.
	// It must exist. Empty means a new temporary directory that Close removes.
	Dir string

	// Output gets what the services write to stdout and stderr, whole lines, one
	// Write at a time. It must not block, and must not call the Manager. Nil means
	// that [Manager.Log] alone has it.
	Output io.Writer

	// Env is the manager's environment for all processes, "KEY=value" each, over
	// a default PATH. Nothing else of the host's environment reaches a service.
	Env []string

	// Version is the version of systemd to resemble, from 247 on; 0 means
	// DefaultVersion.
	Version int
}

// A Message is one datagram that arrived at the notify socket.
type Message struct {
	PID, UID, GID int      // of the sender, as the kernel vouches for them
	Assignments   []string // the lines, "KEY=value"
	Descriptors   int      // how many came with it
	Accepted      bool     // whether the sender was entitled to it and the message well-formed
	Reason        string   // why it was not accepted
}

// An ExitError is the failure of a job, as systemctl reports it.
type ExitError struct {
	Code   int    // systemctl's exit status
	Stderr string // a summary of its output
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("upgradetest: exit status %d: %s", e.Code, e.Stderr)
}
