//go:build linux

package upgradetest

import (
	"context"
	"fmt"
	"strings"
)

// Install gives the manager a unit: a file name ending in .service or .socket,
// and the text that the file would have. A unit that does not run takes a new
// text at once, one that runs does so with DaemonReload.
//
// What the text says and the manager does not do is ignored, with a line in Log,
// or refused with an error that names the setting, see the package comment.
func (m *Manager) Install(ctx context.Context, name, text string) error {
	var err error
	if cerr := m.call(func() { err = m.install(name, text) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("upgradetest: install %s: %w", name, err)
	}
	return context.Cause(ctx)
}

func (m *Manager) install(name, text string) error {
	u := m.units[name]
	if u == nil {
		return m.load(name, text)
	}
	if state := u.activeState(); state == "inactive" && u.base().job == nil {
		if err := u.install(text); err != nil {
			return err
		}
	}
	u.base().pending = text
	return nil
}

func (m *Manager) load(name, text string) error {
	if strings.ContainsAny(name, "/ ") || strings.Contains(name, "@.") {
		return fmt.Errorf("want the name of a unit, not of a template or a path")
	}
	log, err := m.newUnitLog()
	if err != nil {
		return err
	}
	b := unitBase{m: m, name: name, pending: text, log: log, changed: make(chan struct{})}
	var u unit
	switch {
	case strings.HasSuffix(name, ".service"):
		u = &service{unitBase: b, state: dead, result: success, reloadResult: success, flushRestarts: true}
	case strings.HasSuffix(name, ".socket"):
		u = &socket{unitBase: b, state: socketDead, result: success}
	default:
		err = fmt.Errorf("want a .service or a .socket unit: %w", errUnsupported)
	}
	if err == nil {
		err = u.install(text)
	}
	if err != nil {
		_ = log.close() // the error before is the one to report
		return err
	}
	m.units[name] = u
	return nil
}

func (s *service) install(text string) error {
	options, err := parseUnit(s.name, text, s.m.runtimeRoot())
	if err != nil {
		return err
	}
	c, warnings, err := parseService(options, s.m.options.Version)
	if err != nil {
		return err
	}
	s.conf, s.text = c, text
	s.warn(warnings)
	return nil
}

func (k *socket) install(text string) error {
	options, err := parseUnit(k.name, text, k.m.runtimeRoot())
	if err != nil {
		return err
	}
	c, warnings, err := parseSocket(k.name, options, k.m.options.Version)
	if err != nil {
		return err
	}
	k.conf, k.text = c, text
	k.warn(warnings)
	return nil
}

func (b *unitBase) warn(warnings []string) {
	for _, w := range warnings {
		b.log.printf("%s: %s", b.name, w)
	}
}

// DaemonReload reads all unit texts again. As a side effect it has with systemd,
// too, it turns the order of each file descriptor store around.
func (m *Manager) DaemonReload(ctx context.Context) error {
	var err error
	if cerr := m.call(func() { err = m.daemonReload() }); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("upgradetest: daemon-reload: %w", err)
	}
	return context.Cause(ctx)
}

func (m *Manager) daemonReload() error {
	for _, u := range m.units {
		b := u.base()
		if b.pending != b.text {
			if err := u.install(b.pending); err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
		}
		if s, ok := u.(*service); ok {
			s.reverseStore()
			s.reviewAlien()
		}
		b.notifyChange()
	}
	return nil
}
