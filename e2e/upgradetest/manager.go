//go:build linux

package upgradetest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// oldestVersion is the oldest systemd that has been compared with a Manager.
const oldestVersion = 247

// A Manager starts and supervises the units that were installed, as systemd
// does. NewManager makes it, Close ends it. Its methods are safe for concurrent
// use; they return an error wrapping [ErrClosed] after Close.
type Manager struct {
	options Options
	dir     string
	ownsDir bool // dir was made by us and goes with us
	ownsRun bool // so was dir/run

	calls    chan func()   // for the loop
	done     chan struct{} // closed when the loop has ended
	waiting  chan struct{} // closed when the goroutine that waits for descriptors has ended
	reapers  sync.WaitGroup
	closing  sync.Once
	closeErr error

	keeper *keeper

	// What follows belongs to the loop.
	epoll    *epoller
	files    map[string]string // unit files and drop-ins by name
	units    map[string]unit
	groups   map[int]*group
	notify   *notifySocket
	runQueue []*job
	replies  []reply
	ending   bool // Close was called: nothing is started any more
	killing  bool // nor is any command run
	finished bool // the loop ends
}

// A unit is the manager's record of a .service or a .socket.
type unit interface {
	base() *unitBase
	activeState() string
	configure(files []unitfile.File) error
	start() error
	stop() error
	reload() error
	reloaded() result // outcome of the last reload
	outcome() result
	properties() map[string]string
	deadline() time.Time // when timeout is to be called, zero: never
	timeout(now time.Time)
	settle() // after each event, when the jobs have been looked after
	close() error
}

// unitBase has the fields of both kinds of units.
type unitBase struct {
	m       *Manager
	name    string
	log     *unitLog
	job     *job
	changed chan struct{} // closed and replaced when a property may have changed
}

func (b *unitBase) base() *unitBase { return b }

func (b *unitBase) notifyChange() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// NewManager starts a manager that has no units yet. The caller must call Close,
// which alone ends the processes that it will start. It is an error if [Init]
// was not called when the program started.
func NewManager(o Options) (*Manager, error) {
	if !initialised.Load() {
		return nil, errors.New("upgradetest: call upgradetest.Init first in main or TestMain: services are started through it")
	}
	if o.Version = cmp.Or(o.Version, DefaultVersion); o.Version < oldestVersion {
		return nil, fmt.Errorf("upgradetest: Options.Version is %d, want %d or newer", o.Version, oldestVersion)
	}
	for _, e := range o.Env {
		if !strings.Contains(e, "=") {
			return nil, fmt.Errorf("upgradetest: Options.Env: %q is not of the form KEY=value", e)
		}
	}
	m := &Manager{
		options: o, calls: make(chan func()), done: make(chan struct{}), waiting: make(chan struct{}),
		files: map[string]string{}, units: map[string]unit{}, groups: map[int]*group{},
	}
	if err := m.open(); err != nil {
		return nil, fmt.Errorf("upgradetest: %w", errors.Join(err, m.release()))
	}
	go m.loop() // ends when Close has set finished; Close waits for done
	go m.wait() // ends when Close closes the epoller; Close waits for waiting
	return m, nil
}

func (m *Manager) open() (err error) {
	if m.dir, err = filepath.Abs(m.options.Dir); err != nil {
		return err
	}
	if m.options.Dir == "" {
		m.ownsDir = true
		// Services may run as another user, or drop their rights.
		if m.dir, err = os.MkdirTemp("", "upgradetest-"); err != nil {
			return err
		}
		if err := os.Chmod(m.dir, 0o755); err != nil {
			return err
		}
	}
	switch err := os.Mkdir(m.runtimeRoot(), 0o755); {
	case err == nil:
		m.ownsRun = true
	case !errors.Is(err, os.ErrExist):
		return err
	}
	if m.epoll, err = newEpoller(); err != nil {
		return err
	}
	if m.notify, err = m.listenNotify(); err != nil {
		return err
	}
	m.keeper, err = startKeeper(m.removable())
	return err
}

// removable is the directory that goes with the manager, "" if it stays.
func (m *Manager) removable() string {
	if m.ownsDir {
		return m.dir
	}
	return ""
}

// Version returns the version of systemd that the manager resembles.
func (m *Manager) Version() int { return m.options.Version }

// runtimeRoot stands for systemd's /run.
func (m *Manager) runtimeRoot() string { return filepath.Join(m.dir, "run") }

// loop owns the manager's state: all that touches it is a function that comes
// through calls, or a deadline that has passed.
func (m *Manager) loop() {
	defer close(m.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !m.finished {
		if next := m.nextDeadline(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case f := <-m.calls:
			f()
		case now := <-timer.C:
			m.timeouts(now)
		}
		m.runJobs()
		for _, u := range m.units {
			u.settle()
		}
		m.sendReplies()
	}
}

// call runs f in the loop and returns when it has run.
func (m *Manager) call(f func()) error {
	ran := make(chan struct{})
	select {
	case m.calls <- func() { defer close(ran); f() }:
		<-ran
		return nil
	case <-m.done:
		return ErrClosed
	}
}

// wait tells the loop about ready descriptors.
func (m *Manager) wait() {
	defer close(m.waiting)
	for m.epoll.wait() == nil {
		if m.call(m.epoll.dispatch) != nil {
			return
		}
	}
}

func (m *Manager) nextDeadline() (next time.Time) {
	for _, u := range m.units {
		if d := u.deadline(); !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = d
		}
	}
	return next
}

func (m *Manager) timeouts(now time.Time) {
	for _, u := range m.units {
		if d := u.deadline(); !d.IsZero() && !d.After(now) {
			u.timeout(now)
		}
	}
}
