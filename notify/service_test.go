//go:build linux

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
)

// services are the programs that the test binary plays as a process of its own.
var services = map[string]func(context.Context, *notify.Notifier) error{
	"ordinary": ordinaryService,
	"crowded":  crowdedService,
	"alone":    serviceAlone,
}

// playService runs the service of that name and returns its exit status.
func playService(name string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, err := notify.New()
	if err == nil {
		err = errors.Join(services[name](ctx, n), n.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// ordinaryService starts, keeps a pipe with five bytes in it, and exits when the
// manager has seen that.
func ordinaryService(ctx context.Context, n *notify.Notifier) error {
	status := fmt.Sprintf("watchdog %v, store %d", n.WatchdogTimeout(), n.StoreMax())
	if err := n.Send(ctx, notify.Ready, notify.Status(status)); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if _, err := w.WriteString("state"); err != nil {
		return err
	}
	if err := n.Store(ctx, "pipe", r); err != nil {
		return err
	}
	return errors.Join(r.Close(), w.Close(), n.Barrier(ctx))
}

// crowdedService stores a file while so many others are on their way that the
// kernel lets no more pass; when it has said so they arrive.
func crowdedService(ctx context.Context, n *notify.Notifier) error {
	if err := limitDescriptors(); err != nil {
		return err
	}
	a, b, err := fd.Pair()
	if err != nil {
		return err
	}
	if err := fd.Send(uintptr(a.Raw()), []byte{0}, fd.Rights(slices.Repeat([]*fd.FD{a}, crowd))); err != nil {
		return err
	}
	var refused error
	notify.WrapSend(n, func(send notify.SendFunc) notify.SendFunc {
		return func(raw uintptr, text, rights []byte) error {
			err := send(raw, text, rights)
			if errors.Is(err, syscall.ETOOMANYREFS) {
				refused = errors.Join(err, a.Close(), b.Close())
			}
			return err
		}
	})
	if err := n.Store(ctx, "stdin", os.Stdin); err != nil {
		return err
	}
	if refused == nil {
		return errors.New("nothing was refused")
	}
	return nil
}

// crowd is more descriptors than limitDescriptors allows to be on their way.
const crowdLimit, crowd = 16, 17

// limitDescriptors makes this thread one that the kernel's limit applies to, and the limit small.
func limitDescriptors() error {
	runtime.LockOSThread()
	// The limit counts a user's descriptors, so the thread needs a user of its own. Not
	// unix.Setresuid, which does it for all threads; without privileges it stays ours.
	if user := uintptr(100_000 + os.Getpid()); os.Geteuid() == 0 {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, user, user, user); errno != 0 {
			return errno
		}
	}
	none := make([]unix.CapUserData, 2) // the 64 bits of version 3
	return errors.Join(
		unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]),
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: crowdLimit, Max: crowdLimit}),
	)
}

// serviceAlone does what a service does, where no manager listens.
func serviceAlone(ctx context.Context, n *notify.Notifier) error {
	if n != nil {
		return fmt.Errorf("New returned %v without $NOTIFY_SOCKET", n)
	}
	return ordinaryService(ctx, n)
}
