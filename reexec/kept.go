package reexec

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// A Kept is an open file of any kind, a connection, a FIFO, a memfd, that goes to
// every later generation under its name, and with a manager into its fd store,
// until Forget.
type Kept struct {
	// File is a descriptor of the Kept's own. Forget closes it, and so does
	// Upgrader.Close.
	File *os.File

	u *Upgrader
	s *socket
}

// keptFile is a file among the sockets of a generation. It has no gate: who may use
// the file is the program's business.
type keptFile struct{ *os.File }

func (keptFile) open() {}
func (keptFile) shut() {}

// Keep keeps file under name; several may have one name. The file stays the
// caller's: the Kept has a duplicate. What is kept while an upgrade is under way
// stays with this process, and goes into no store if that succeeds.
//
// A file that hangs up, a connection whose other end is gone, leaves the fd store
// by itself; to later generations it goes all the same, until Forget.
func (u *Upgrader) Keep(name string, file syscall.Conn) (*Kept, error) {
	if err := checkSocketName(name); err != nil {
		return nil, err
	}
	if file == nil {
		return nil, fmt.Errorf("reexec: keep %q: the file is nil", name)
	}
	d, err := fd.DupOf(file)
	if err != nil {
		return nil, fmt.Errorf("reexec: keep %q: %w", name, err)
	}
	k := &Kept{File: d.File(name), u: u}
	k.s = u.sockets.add(name, keptFile{k.File})
	if r := u.Status(); r.main && r.State == serving.String() {
		return k, u.store(u.sockets.unkept())
	}
	return k, nil // Ready or the commit puts it into the store
}

// Claim returns what was kept under name by an earlier process, in the order of its
// Keep, and files of that name which a unit passed. They go on being kept. Call it
// before Ready: what nobody has claimed by then is closed and forgotten.
func (u *Upgrader) Claim(name string) ([]*Kept, error) {
	var all []*Kept
	for {
		k, err := u.claimNext(name)
		if k == nil || err != nil {
			return all, err
		}
		all = append(all, k)
	}
}

// claimNext is Claim for one file; nil means that there is none.
func (u *Upgrader) claimNext(name string) (*Kept, error) {
	k := &Kept{u: u}
	var err error
	k.s, err = u.sockets.claim(name, func(f *fd.FD) (claimed, error) {
		k.File = f.File(name)
		return keptFile{k.File}, nil
	}, func() (claimed, error) { return nil, errNoMore })
	if errors.Is(err, errNoMore) {
		return nil, nil
	}
	if err != nil {
		u.failure.Store(&err)
		return nil, err
	}
	return k, nil
}

// errNoMore ends Claim.
var errNoMore = errors.New("no more")

// Forget ends the keeping and closes File; out of the fd store it takes it if this
// is the main process, whose store that is. A second call does nothing.
func (k *Kept) Forget() error {
	stored, ok := k.u.sockets.remove(k.s)
	if !ok {
		return nil
	}
	err := k.File.Close()
	if stored != "" && k.u.Status().main {
		ctx, cancel := saying(k.u.life)
		defer cancel()
		err = errors.Join(err, k.u.notifier.Remove(ctx, stored))
	}
	return err
}
