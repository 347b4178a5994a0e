// Package machine boots a real systemd as PID 1, so that tests can tell stories
// to it.
//
// A [Machine] is a set of fresh namespaces (mount, pid, net, uts, ipc, cgroup)
// over a throw-away overlay of a root tree: the host's own, or one of [Roots].
// Nothing that happens inside changes the tree, and nothing is left when the
// Machine is closed or the process that booted it dies. It boots to a minimal
// target with the journal and nothing else: no udev, no getty, no timers, no
// bus. A test installs the rest that it needs.
//
// The program that boots machines starts copies of itself inside them, so
// [Init] must be the first call of its main or TestMain:
//
//	func TestMain(m *testing.M) {
//		machine.Init()
//		os.Exit(m.Run())
//	}
//
// It needs Linux 5.14 (cgroup.kill), root, a writable cgroup2 hierarchy and
// systemd 247 or newer in the root tree; [Available] names the missing part. On
// other systems the package compiles, and everything returns an error wrapping
// [errors.ErrUnsupported].
package machine

import (
	"io"
	"time"
)

// BootTimeout is the default of the timeout in [Options].
const BootTimeout = 60 * time.Second

// Options are the settings of a machine. The zero value boots the host's own
// systemd.
type Options struct {
	// Root is the tree below which the machine's systemd and all its programs
	// lie; "" is the host's own root. It is only read.
	Root string

	// Timeout bounds the boot, besides the context; 0 is [BootTimeout].
	Timeout time.Duration

	// Console gets a copy of systemd's output on the machine's console at once, from a
	// goroutine that ends with the machine; it may be nil. A Write that blocks delays
	// systemd.
	Console io.Writer
}

// Available returns nil if a machine can be booted here from the host's own root. It
// is Options{}.Available().
func Available() error { return Options{}.Available() }

func (o Options) root() string {
	if o.Root == "" {
		return "/"
	}
	return o.Root
}

func (o Options) timeout() time.Duration {
	if o.Timeout == 0 {
		return BootTimeout
	}
	return o.Timeout
}
