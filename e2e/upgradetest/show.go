//go:build linux

package upgradetest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Show returns a property of a unit as `systemctl show --value -p` prints it. A
// property that this manager does not keep is an error. A unit that was not
// installed has the properties of one that systemd does not find.
func (m *Manager) Show(ctx context.Context, unit, property string) (string, error) {
	p, _, err := m.snapshot(unit)
	if err != nil {
		return "", err
	}
	v, ok := p[property]
	if !ok {
		return "", fmt.Errorf("upgradetest: show %s: property %s is not kept, have %s", unit, property, strings.Join(sortedKeys(p), ", "))
	}
	return v, context.Cause(ctx)
}

// Wait returns when ok is true of the unit's properties: at once, or when they
// have changed so. It does not poll. ok runs in the caller's goroutine and may
// call the Manager; the map is its own. The error is that of ctx, or ErrClosed;
// a unit that is not installed is not waited for.
func (m *Manager) Wait(ctx context.Context, unit string, ok func(properties map[string]string) bool) error {
	for {
		p, changed, err := m.snapshot(unit)
		if err != nil {
			return err
		}
		if ok(p) {
			return nil
		}
		if changed == nil {
			return fmt.Errorf("upgradetest: wait for %s: unit not found", unit)
		}
		select {
		case <-changed:
		case <-m.done:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("upgradetest: wait for %s, now %s (%s): %w", unit, p["ActiveState"], p["SubState"], context.Cause(ctx))
		}
	}
}

// snapshot returns the properties and a channel that is closed when they change.
func (m *Manager) snapshot(name string) (p map[string]string, changed <-chan struct{}, err error) {
	err = m.call(func() {
		u := m.units[name]
		if u == nil {
			p = map[string]string{"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "Result": "success", "MainPID": "0"}
			return
		}
		p, changed = u.properties(), u.base().changed
		p["Id"], p["LoadState"] = name, "loaded"
	})
	return p, changed, err
}

// Log returns the unit's journal so far, in order: the output of its processes and the
// actions of the manager.
func (m *Manager) Log(ctx context.Context, unit string) (text string, err error) {
	cerr := m.call(func() {
		if u := m.units[unit]; u != nil {
			text = u.base().log.String()
		} else {
			err = fmt.Errorf("upgradetest: log of %s: unit not found", unit)
		}
	})
	if cerr != nil {
		return "", cerr
	}
	if err != nil {
		return "", err
	}
	return text, context.Cause(ctx)
}

// Messages returns all notifications that processes of a service have sent, also
// those that were not accepted, in the order of their arrival. For unit "" it
// returns those whose sender belongs to no unit. After Close there are none.
func (m *Manager) Messages(unit string) []Message {
	var messages []Message
	_ = m.call(func() { // documented: none after Close
		m.readNotify()
		if unit == "" {
			messages = slices.Clone(m.notify.strays)
		} else if s := m.service(unit); s != nil {
			messages = slices.Clone(s.messages)
		}
	})
	return messages
}

// DialContext connects to where a socket unit listens, as [net.Dialer] does: the
// services live in the host's own network namespace.
func (m *Manager) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (s *service) properties() map[string]string {
	p := map[string]string{
		"ActiveState": s.activeState(), "SubState": string(s.state), "Result": string(s.result),
		"MainPID": strconv.Itoa(s.main), "ControlPID": strconv.Itoa(s.control),
		"ExecMainPID": strconv.Itoa(s.mainStart), "ExecMainCode": strconv.Itoa(s.mainExit.code),
		"ExecMainStatus": strconv.Itoa(s.mainExit.status),
		"Type":           s.conf.kind, "NotifyAccess": s.notifyAccess(), "KillMode": s.conf.killMode, "Restart": s.conf.restart,
		"NRestarts": strconv.Itoa(s.restarts), "InvocationID": s.invocation,
		"StatusText": s.statusText, "StatusErrno": strconv.Itoa(s.statusErrno), "ReloadResult": string(s.reloadResult),
		"StatusBusError": s.statusBus, "StatusVarlinkError": s.statusVarlink,
		"NFileDescriptorStore": strconv.Itoa(s.store.len()), "FileDescriptorStoreMax": strconv.Itoa(s.conf.storeMax),
		"WatchdogUSec":     unitfile.FormatSpan(s.watchdogAfter),
		"TimeoutStartUSec": unitfile.FormatSpan(s.conf.timeoutStart), "TimeoutStopUSec": unitfile.FormatSpan(s.conf.timeoutStop),
		"RestartUSec": unitfile.FormatSpan(s.conf.restartAfter), "CanReload": yesNo(s.conf.canReload()),
		"FileDescriptorStorePreserve": s.conf.storePreserve,
	}
	if s.m.options.Version < 254 {
		p["FileDescriptorStorePreserve"] = "" // as systemctl prints an unknown property
	}
	return p
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
