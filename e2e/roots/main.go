// Command roots builds the root trees that machines of several systemd versions boot
// from: Debian 11, 12 with backports, 13 and sid, about 40 seconds and 150 MB each. The tree
// podman is Debian 13 with podman, 370 MB.
//
//	go run ./e2e/roots            # all that are missing
//	go run ./e2e/roots trixie sid # these, if missing
//
// They lie in $CUTOVER_ROOTS, or cutover/roots in the user's cache directory. A tree
// that is there is left alone; to have it built again, delete it. An interrupted run
// leaves no half of a tree that would be taken for a whole. It needs root and
// debootstrap, which it installs on Debian and its children.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func main() {
	mirror := flag.String("mirror", "http://deb.debian.org/debian", "Debian `URL` to take packages from")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *mirror, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "roots:", err)
		os.Exit(1)
	}
}

// run builds the trees of names, all if there are none, that are missing. One that
// cannot be built does not keep the others from it.
func run(ctx context.Context, mirror string, names []string) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	dir, err := machine.RootsDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Println("root trees in", dir)
	b := &builder{dir: dir, mirror: mirror}
	for _, t := range chosen {
		if terr := b.ensure(ctx, t); terr != nil {
			fmt.Printf("%-20s not built\n", t.name)
			err = errors.Join(err, fmt.Errorf("%s: %w", t.name, terr))
		}
	}
	return err
}
