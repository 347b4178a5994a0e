package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupPrefix starts the names of the machines' cgroups.
const cgroupPrefix = "cutover-machine-"

// operator is the cgroup in a machine for commands that belong to no unit. Its name
// must not be one that systemd takes for a unit's.
const operator = "operator"

// A cgroup is the one below which a machine lives, at the root of the host's cgroup2
// hierarchy. Its owner holds a lock on the directory; one that can be locked is a
// dead owner's.
type cgroup struct {
	path string
	dir  *os.File
}

// newCgroup makes a cgroup, and removes those of dead owners.
func newCgroup() (*cgroup, error) {
	mount, all, err := lockMount()
	if err != nil {
		return nil, err
	}
	defer all.Close()
	sweep(mount)
	path, err := os.MkdirTemp(mount, cgroupPrefix)
	if err != nil {
		return nil, err
	}
	// The machine sees it as its hierarchy's root, which all users may enter.
	if err := errors.Join(os.Chmod(path, 0o755), os.Mkdir(filepath.Join(path, operator), 0o755)); err != nil {
		return nil, errors.Join(err, removeTree(path))
	}
	dir, err := lockDir(path, unix.LOCK_EX)
	if err != nil {
		return nil, errors.Join(err, removeTree(path))
	}
	return &cgroup{path: path, dir: dir}, nil
}

// lockMount locks the hierarchy until all is closed. The lock keeps others from taking a
// cgroup that is not locked yet for a dead owner's.
func lockMount() (mount string, all *os.File, err error) {
	if mount, err = cgroupMount(); err != nil {
		return "", nil, err
	}
	all, err = lockDir(mount, unix.LOCK_EX)
	return mount, all, err
}

// removeDead removes the cgroups of dead owners.
func removeDead() error {
	mount, all, err := lockMount()
	if err != nil {
		return err
	}
	defer all.Close()
	sweep(mount)
	return nil
}

// sweep removes the cgroups below mount whose owners are dead.
func sweep(mount string) {
	paths, _ := filepath.Glob(filepath.Join(mount, cgroupPrefix+"*")) // the pattern is well-formed
	for _, path := range paths {
		dir, err := lockDir(path, unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue // its owner lives
		}
		dead := &cgroup{path: path, dir: dir}
		// The next boot tries again to remove the rest; it does not disturb the new
		// machine.
		_ = errors.Join(dead.kill(), dead.Close())
	}
}

// lockDir opens the directory path and locks it until it is closed.
func lockDir(path string, how int) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), dir.Close())
	}
	return dir, nil
}

// kill sends SIGKILL to every process in the cgroup.
func (c *cgroup) kill() error { return killAll(c.path) }

func killAll(path string) error {
	return os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0)
}

// Close waits until all processes in the cgroup are dead, which must have been
// killed, and removes it.
func (c *cgroup) Close() error {
	return errors.Join(c.waitEmpty(), removeTree(c.path), c.dir.Close())
}

// deathTimeout limits the wait for killed processes to end. A process that hangs in the
// kernel may never end.
const deathTimeout = time.Minute

// waitEmpty waits until no process is left in the cgroup.
func (c *cgroup) waitEmpty() error {
	events, err := os.Open(filepath.Join(c.path, "cgroup.events"))
	if err != nil {
		return err
	}
	defer events.Close()
	deadline := time.Now().Add(deathTimeout)
	buf := make([]byte, 256)
	for {
		n, err := events.ReadAt(buf, 0)
		if n == 0 {
			return err
		}
		if strings.Contains(string(buf[:n]), "populated 0") {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("%s still has processes %v after they were killed", c.path, deathTimeout)
		}
		poll := []unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(poll, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

// procs returns the processes in the cgroup and those below it, as the host knows them.
func (c *cgroup) procs() (pids []int, err error) {
	dirs, err := subtree(c.path)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		list, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // a unit that has just stopped
		}
		found, err := numbers(strings.Fields(string(list)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, found...)
	}
	return pids, nil
}

// subtree returns the cgroup path and those below it, parents first. A cgroup that is
// removed meanwhile may be missing.
func subtree(path string) (dirs []string, err error) {
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p != path {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	return dirs, err
}

// removeTree removes an empty cgroup and those below it.
func removeTree(path string) error {
	dirs, err := subtree(path)
	for _, dir := range slices.Backward(dirs) {
		err = errors.Join(err, unlinkDir(dir))
	}
	return err
}

// unlinkDir is rmdir; the files of a cgroup go with it.
func unlinkDir(path string) error {
	if err := unix.Rmdir(path); err != nil {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}

// cgroupMount returns where the cgroup2 hierarchy is mounted: /sys/fs/cgroup, or
// /sys/fs/cgroup/unified beside the hierarchies of version 1.
func cgroupMount() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if at, ok := cgroup2At(lines.Text()); ok {
			return at, nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", errors.New("no cgroup2 hierarchy is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}

// cgroup2At returns the mount point if line, of proc_pid_mountinfo(5), is a cgroup2
// hierarchy.
func cgroup2At(line string) (at string, ok bool) {
	mount, source, ok := strings.Cut(line, " - ")
	fields := strings.Fields(mount)
	if !ok || len(fields) < 5 || !strings.HasPrefix(source, "cgroup2 ") {
		return "", false
	}
	return fields[4], true
}
