// Package lastgood has the last good program, which is executed instead of a program that fails
// before it is proven. The fd store has it in an entry whose name has the identity of the program
// that is not proven.
package lastgood

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/startup"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// Programs has the entries of the fd store, and the program that they have. Its methods may be
// called from any goroutine; its fields do not change after New of the Upgrader.
type Programs struct {
	Me        string  // identity of this program, "" if it is not known
	InsteadOf *Failed // nil unless this process is the last good program

	mu       sync.Mutex
	names    []string // entries of the fd store
	unproven bool     // the process before has stored an entry for this program
	file     *fd.FD   // the last good program while this one is unproven, nil if it was not passed
}

// Entries returns a copy of the names, so that mu is not held while the manager is sent a message.
func (g *Programs) Entries() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.names)
}

// Add adds an entry.
func (g *Programs) Add(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = append(g.names, name)
}

// Drop removes an entry.
func (g *Programs) Drop(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = slices.DeleteFunc(g.names, func(n string) bool { return n == name })
}

// Inherit takes the entries of the process before, and the program that they have.
func (g *Programs) Inherit(names []string, file *fd.FD) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.file.Close() // nil, or of an upgrade that was not committed
	g.names, g.file = names, file
	g.unproven = slices.Contains(names, storename.Good(g.Me))
}

// Receive is Inherit for the message of the predecessor.
func (g *Programs) Receive(m handover.LastGood) {
	if len(m.FDs) != 1 {
		fd.CloseAll(m.FDs)
		m.FDs = []*fd.FD{nil}
	}
	g.Inherit(m.Names, m.FDs[0])
}

// Has reports whether the entry for the program identity exists.
func (g *Programs) Has(identity string) bool {
	return slices.Contains(g.Entries(), storename.Good(identity))
}

// Reopen returns a new open file of the last good program, because the fd store keeps an open file
// only once.
func (g *Programs) Reopen() (*os.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.unproven:
		return os.Open(startup.Self)
	case g.file.Raw() < 0:
		return nil, errors.New("the predecessor has not passed the last good program")
	}
	return os.Open("/proc/self/fd/" + strconv.Itoa(g.file.Raw()))
}

// Dup returns a descriptor of the last good program for another process.
func (g *Programs) Dup() (*fd.FD, error) {
	file, err := g.Reopen()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return fd.DupOf(file)
}

// Close gives the last good program up.
func (g *Programs) Close() { g.Inherit(nil, nil) }
