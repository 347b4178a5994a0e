package reexec

import (
	"os"

	"github.com/cutover-go/cutover/reexec/internal/parent"
)

// replacesInPlace reports whether this process is replaced in place. New calls it once.
func (u *Upgrader) replacesInPlace() bool {
	switch u.opts.Mode {
	case inPlace:
		return true
	case overlap:
		return false
	}
	return os.Getpid() == 1 || parent.Waits(u.launch.parent, u.supervised())
}

// siblings reports whether a successor has to be a child of the manager. A process that is
// only tried before an execve need not be one.
func (u *Upgrader) siblings() bool { return u.supervised() && !u.launch.inPlace }

// checkParent returns an error if a successor could not become the main process.
func (u *Upgrader) checkParent() error {
	if u.launch.inPlace {
		return nil
	}
	return parent.Check(u.launch.parent, u.supervised(), u.launch.environ.Lookup)
}

// checkFollowed returns an error if the manager would end the unit with this process although
// the successor serves. A manager with a notification socket proves that in confirm.
func (u *Upgrader) checkFollowed(successor int) error {
	if u.supervised() {
		return nil
	}
	return parent.CheckFile(successor, u.launch.environ.Lookup)
}
