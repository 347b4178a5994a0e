package machine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// self is this program, also after its file was deleted.
const self = "/proc/self/exe"

// The roles that this program plays inside a machine, told by its argument 0: unlike a
// variable of the environment, no program that is started later inherits it. A soft-reboot kills
// no process of root whose argument 0 begins with @ (systemd: "Storage Daemons for the Root File System").
const (
	rolePrefix = "@cutover-machine: "
	roleInit   = rolePrefix + "init"  // becomes PID 1
	roleEnter  = rolePrefix + "enter" // runs a command in the machine
	roleBus    = rolePrefix + "bus"   // connects to systemd for the owner
	roleProbe  = rolePrefix + "probe" // only has to start
	roleClean  = rolePrefix + "clean" // cleans up after the end of another process
)

// Init must be the first call of a program that boots machines, in main or TestMain.
// In the copies of the program that this package starts it does not return.
func Init() {
	var err error
	code := 0
	switch os.Args[0] {
	case roleInit:
		err = becomeSystemd(os.Args[1:])
	case roleEnter:
		code, err = enter(os.Args[1:])
	case roleBus:
		err = connectForOwner()
	case roleProbe:
	case roleClean:
		err = clean(os.Args[1:])
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "machine:", err)
		code = max(code, 1)
	}
	// os.Exit would have the race detector wait for one second, at each command.
	syscall.Exit(code)
}

// checkInit fails in a copy of the program that should have ended in Init: it would
// start copies of itself without end.
func checkInit() error {
	if strings.HasPrefix(os.Args[0], rolePrefix) {
		return errors.New("machine: call Init first in main or TestMain")
	}
	return nil
}

// The descriptors that PID 1 gets.
const (
	notifyFD = 3 // an unbound datagram socket, to be bound to notifyPath
	ownerFD  = 4 // the pidfd of the process that boots the machine
	busFD    = 5 // the socket by which the owner asks for connections, see busLink
)

// notifyPath is the socket to which systemd as PID 1 sends READY=1.
const notifyPath = "/run/host/notify"

// becomeSystemd makes the namespaces that this process is the first of a machine, and
// executes its systemd. It returns only with an error.
func becomeSystemd(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("PID 1 got %d arguments, not a root and a console", len(args))
	}
	root, console := args[0], args[1]
	runtime.LockOSThread() // never unlocked, see dieWithOwner
	for _, own := range []int{notifyFD, ownerFD, busFD} {
		unix.CloseOnExec(own)
	}
	if err := startBusProcess(); err != nil {
		return fmt.Errorf("start the process that connects to systemd: %w", err)
	}
	if err := assemble(root, console); err != nil {
		return err
	}
	if err := configure(); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	if err := unix.Bind(notifyFD, &unix.SockaddrUnix{Name: notifyPath}); err != nil {
		return fmt.Errorf("bind %s: %w", notifyPath, err)
	}
	if err := dieWithOwner(); err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", manager, unix.Exec(manager, managerArgs(), managerEnv()))
}

// dieWithOwner has the kernel kill this process when its owner ends. os/exec does as
// that with Pdeathsig, but only for the thread that starts this program, and not in a
// new pid namespace if the owner ends before. The calling thread must be locked and
// be the one that executes systemd.
func dieWithOwner() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: ownerFD, Events: unix.POLLIN}}, 0)
	if err == nil && n > 0 {
		err = errors.New("the process that boots this machine has ended")
	}
	return err
}

func managerArgs() []string {
	return []string{manager, "--system", "--show-status=yes"}
}

func managerEnv() []string {
	return []string{
		"container=cutover", // no hardware, no kernel settings, no clock
		"NOTIFY_SOCKET=" + notifyPath,
		"PATH=" + searchPath,
		"LANG=C.UTF-8",
		"TERM=dumb",
	}
}

// loopbackUp brings the network namespace's only interface up.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}
