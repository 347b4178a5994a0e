package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A mount is one call of mount(2). Targets are relative to the machine's root, before
// that is the root.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

const (
	nosuidNodev = unix.MS_NOSUID | unix.MS_NODEV
	inert       = nosuidNodev | unix.MS_NOEXEC
)

// kernelMounts are the file systems of a machine besides its root, in order. What
// belongs to the whole kernel is read-only: a machine's systemd has the host's
// privileges, but not its settings.
var kernelMounts = []mount{
	{"proc", "proc", "proc", inert, ""},
	{"proc/sys", "proc/sys", "", unix.MS_BIND, ""},
	{"proc/sys/net", "proc/sys/net", "", unix.MS_BIND, ""}, // is the machine's own
	{"", "proc/sys", "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | inert, ""},
	{"sysfs", "sys", "sysfs", inert | unix.MS_RDONLY, ""},
	{"cgroup2", "sys/fs/cgroup", "cgroup2", inert, ""},
	{"tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=755"},
	{"tmpfs", "run", "tmpfs", nosuidNodev, "mode=755"},
	{"tmpfs", "tmp", "tmpfs", nosuidNodev, "mode=1777"},
}

// deviceMounts go below dev, once there are its directories.
var deviceMounts = []mount{
	{"devpts", "dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"tmpfs", "dev/shm", "tmpfs", nosuidNodev, "mode=1777"},
	{"mqueue", "dev/mqueue", "mqueue", inert, ""},
}

// do mounts; its error names the mount.
func (m mount) do() error {
	if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
		return fmt.Errorf("mount %s on /%s: %w", strings.TrimSpace(m.kind+" "+m.source), m.target, err)
	}
	return nil
}

func mountAll(mounts []mount) error {
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

// assemble makes an overlay of root the root of this mount namespace, with the usual
// mounts of a system. Nothing of the host stays reachable.
func assemble(root, console string) error {
	steps := []func() error{
		func() error { return mount{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""}.do() },
		func() error { return overlay(root) },
		func() error { return mountAll(kernelMounts) },
		makeDevices,
		func() error { return mountAll(deviceMounts) },
		func() error { return mount{console, "dev/console", "", unix.MS_BIND, ""}.do() },
		pivot,
		// As on a real system, so that later mounts reach services with separate mount
		// namespaces; no mount can reach the host any more.
		func() error { return mount{"", "/", "", unix.MS_REC | unix.MS_SHARED, ""}.do() },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// overlay mounts a writable view of root, and makes it the working directory.
func overlay(root string) error {
	const base = "/tmp" // exists on every host; only this namespace sees the mount
	// The working directory names the lower directory, because the mount on base may hide
	// its path.
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := (mount{"tmpfs", base, "tmpfs", 0, "mode=755"}).do(); err != nil {
		return err
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			return err
		}
	}
	options := "lowerdir=.,upperdir=" + base + "/upper,workdir=" + base + "/work"
	if err := (mount{"overlay", base + "/root", "overlay", 0, options}).do(); err != nil {
		return err
	}
	return os.Chdir(base + "/root")
}

// pivot makes the working directory the root and lets go of the old one.
func pivot() error {
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	// The old root now lies on top of the new one, see pivot_root(2).
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount", err)
	}
	return os.Chdir("/")
}

// devices are the nodes of dev: name and minor number of major 1, except for tty.
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var deviceLinks = map[string]string{
	"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
	"stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
}

// makeDevices fills the directory dev.
func makeDevices() error {
	unix.Umask(0)
	defer unix.Umask(0o022)
	for _, d := range devices {
		name := filepath.Join("dev", d.name)
		if err := unix.Mknod(name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("make /%s: %w", name, err)
		}
	}
	for name, to := range deviceLinks {
		if err := os.Symlink(to, filepath.Join("dev", name)); err != nil {
			return err
		}
	}
	for _, m := range deviceMounts {
		if err := os.Mkdir(m.target, 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile("dev/console", nil, 0o600) // to be mounted on
}
