//go:build linux

package upgradetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// closeGrace limits how long Close waits for services that were asked to stop. A
// shorter TimeoutStopSec= wins.
const closeGrace = 10 * time.Second

// Close stops all units as a shutdown would, waits until every process of theirs
// is gone, and removes the files of the manager's directory. It kills services that
// do not stop within their TimeoutStopSec= or within ten seconds. A second
// call waits for the first and returns the same.
func (m *Manager) Close() error {
	m.closing.Do(func() { m.closeErr = m.shutdown() })
	return m.closeErr
}

func (m *Manager) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	var names []string
	_ = m.call(func() { // nothing has ended the loop yet
		m.ending = true
		names = sortedKeys(m.units)
		for _, u := range m.units {
			if k, ok := u.(*socket); ok {
				k.enter(socketDead) // or it would start its service again
			}
		}
	})
	stopped := make(chan error, len(names))
	for _, name := range names {
		go func() { stopped <- m.Stop(ctx, name) }() // ends with ctx; joined below
	}
	for range names {
		<-stopped // that it did not stop is no failure of Close: the next step ends it
	}
	_ = m.call(m.killAll)
	m.reapers.Wait()
	err := m.call(func() { m.finished = true })
	<-m.done
	if e := m.release(); e != nil {
		err = errors.Join(err, fmt.Errorf("upgradetest: %w", e))
	}
	<-m.waiting
	return err
}

// killAll kills the remaining processes of all groups and starts no process any more.
func (m *Manager) killAll() {
	m.killing = true
	for _, u := range m.units {
		if s, ok := u.(*service); ok {
			_, groups := s.others()
			for _, g := range groups {
				s.kill(-g, unix.SIGKILL)
			}
		}
	}
}

// release gives back what open took and the units hold.
func (m *Manager) release() error {
	var errs []error
	for _, u := range m.units {
		errs = append(errs, u.close())
	}
	if m.notify != nil {
		errs = append(errs, m.notify.close())
	}
	if m.epoll != nil {
		errs = append(errs, m.epoll.close())
	}
	if m.keeper != nil {
		errs = append(errs, m.keeper.close())
	}
	if m.ownsRun {
		errs = append(errs, os.RemoveAll(m.runtimeRoot()))
	}
	if m.ownsDir {
		errs = append(errs, os.RemoveAll(m.dir))
	}
	return errors.Join(errs...)
}
