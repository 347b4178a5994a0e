//go:build linux

package upgradetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Install writes a unit file and has the manager read it, as DaemonReload does,
// with the same effect on file descriptor stores. The name ends in .service or
// .socket, or is that of a drop-in such as web.service.d/10-more.conf; the text
// is in systemd's syntax. A name that was installed before gets a new text.
//
// The manager ignores a setting that it does not implement, with a line in Log, or
// refuses it with an error that names the setting; see the package comment. An
// error changes nothing.
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
	unitName, _, _ := strings.Cut(name, ".d/")
	if strings.ContainsAny(unitName, "/ ") || strings.Contains(unitName, "@.") {
		return errors.New("want the name of a unit, not of a template or a path")
	}
	before, had := m.files[name]
	m.files[name] = text
	err := m.read(unitName)
	if err != nil {
		delete(m.files, name)
		if had {
			m.files[name] = before
		}
		return err
	}
	m.daemonReload()
	return nil
}

// read loads a unit from its files; a drop-in may be there before its unit.
func (m *Manager) read(name string) error {
	text, ok := m.files[name]
	if !ok {
		return nil
	}
	files := []unitfile.File{{Name: name, Text: text}}
	for _, file := range sortedKeys(m.files) {
		if strings.HasPrefix(file, name+".d/") {
			files = append(files, unitfile.File{Name: file, Text: m.files[file]})
		}
	}
	if u := m.units[name]; u != nil {
		return u.configure(files)
	}
	u, err := m.newUnit(name)
	if err != nil {
		return err
	}
	if err := u.configure(files); err != nil {
		return errors.Join(err, u.close())
	}
	m.units[name] = u
	return nil
}

func (m *Manager) newUnit(name string) (unit, error) {
	isService := strings.HasSuffix(name, ".service")
	if !isService && !strings.HasSuffix(name, ".socket") {
		return nil, fmt.Errorf("want a .service or a .socket: %w", errUnsupported)
	}
	log, err := m.newUnitLog()
	if err != nil {
		return nil, err
	}
	b := unitBase{m: m, name: name, log: log, changed: make(chan struct{})}
	if isService {
		return &service{unitBase: b, state: dead, result: success, reloadResult: success, flushRestarts: true}, nil
	}
	return &socket{unitBase: b, state: socketDead, result: success, nodes: map[string]bool{}}, nil
}

func (s *service) configure(files []unitfile.File) error {
	lines, unread := parseUnit(s.name, files, s.m.runtimeRoot())
	c, warnings, err := parseService(lines, s.m.options.Version)
	if err != nil {
		return err
	}
	s.conf = c
	s.warn(append(unread, warnings...))
	return nil
}

func (k *socket) configure(files []unitfile.File) error {
	lines, unread := parseUnit(k.name, files, k.m.runtimeRoot())
	c, warnings, err := parseSocket(k.name, lines, k.m.options.Version)
	if err != nil {
		return err
	}
	k.conf = c
	k.warn(append(unread, warnings...))
	return nil
}

func (b *unitBase) warn(warnings []string) {
	for _, w := range warnings {
		b.log.printf("%s: %s", b.name, w)
	}
}

// DaemonReload has the effect of `systemctl daemon-reload` on running services: it
// reverses each file descriptor store and cuts it to its FileDescriptorStoreMax=.
// Install has already read the unit texts.
func (m *Manager) DaemonReload(ctx context.Context) error {
	if err := m.call(m.daemonReload); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (m *Manager) daemonReload() {
	for _, u := range m.units {
		if s, ok := u.(*service); ok {
			s.reverseStore()
			s.reviewAlien()
		}
		u.base().notifyChange()
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
