//go:build linux

package upgradetest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A socketState is a SubState of a socket unit.
type socketState string

const (
	socketDead      socketState = "dead"
	socketListening socketState = "listening" // the manager waits for traffic
	socketRunning   socketState = "running"   // the service has that job
	socketFailed    socketState = "failed"
)

// A socket is the state of a .socket unit. Its methods run in the loop.
type socket struct {
	unitBase
	conf   *socketConfig
	state  socketState
	result result
	open   []*listener
	nodes  map[string]bool // made in the file system
	limit  rateLimit       // of activations
}

func (k *socket) reload() error         { return errInvalid }
func (k *socket) reloaded() result      { return success }
func (k *socket) outcome() result       { return k.result }
func (k *socket) deadline() time.Time   { return time.Time{} }
func (k *socket) timeout(now time.Time) {}
func (k *socket) settle()               {}

func (k *socket) activeState() string {
	switch k.state {
	case socketDead:
		return "inactive"
	case socketFailed:
		return "failed"
	}
	return "active"
}

// start opens the sockets. While the service runs it would not get them, so that
// is refused, and a restart of the socket under a running service leaves it down.
func (k *socket) start() error {
	if k.m.ending {
		return ErrClosed
	}
	s := k.m.service(k.conf.service)
	if s == nil {
		return fmt.Errorf("%s: there is no %s that it could start", k.name, k.conf.service)
	}
	if !s.state.down() && s.state != autoRestart {
		return fmt.Errorf("%s: Socket service %s already active, refusing", k.name, s.name)
	}
	for _, line := range k.conf.listen {
		l, err := k.conf.listenOn(line)
		if err != nil {
			k.log.printf("%s: %v", k.name, err)
			k.fail(badResources)
			return fmt.Errorf("%s: %w", k.name, err)
		}
		k.open = append(k.open, l)
		if l.path != "" {
			k.nodes[l.path] = true
		}
	}
	k.result = success
	k.log.printf("Listening on %s.", k.name)
	k.enter(socketListening)
	return nil
}

func (k *socket) stop() error {
	k.enter(socketDead)
	return nil
}

func (k *socket) fail(r result) {
	k.result = r
	k.log.printf("%s: Failed with result '%s'.", k.name, r)
	k.enter(socketFailed)
}

// enter changes the state, and with it whether the manager waits for traffic.
func (k *socket) enter(state socketState) {
	for _, l := range k.open {
		k.m.epoll.remove(l.watch)
		l.watch = nil
	}
	switch state {
	case socketListening:
		for _, l := range k.open {
			var err error
			if l.watch, err = k.m.epoll.add(l.fd, unix.EPOLLIN, k.triggered); err != nil {
				k.log.printf("%s: %v", k.name, err)
			}
		}
	case socketDead, socketFailed:
		if err := k.closeListeners(); err != nil {
			k.log.printf("%s: %v", k.name, err)
		}
	}
	k.state = state
	k.m.stateChanged(k)
}

func (k *socket) closeListeners() error {
	var errs []error
	for _, l := range k.open {
		errs = append(errs, l.close())
		if k.conf.removeOnStop && l.path != "" {
			if err := os.Remove(l.path); !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	k.open = nil
	return errors.Join(errs...)
}

// close is the end of the manager. It leaves no node behind, which systemd would.
func (k *socket) close() error {
	errs := []error{k.closeListeners(), k.log.close()}
	for path := range k.nodes {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// triggered starts the service since a client is there.
func (k *socket) triggered() {
	s := k.m.service(k.conf.service)
	switch {
	case s.job != nil && s.job.kind == jobStop:
		k.flush()
	case !k.limit.allow(time.Now(), k.conf.triggerInterval, k.conf.triggerBurst):
		k.fail(triggerLimitHit)
	default:
		k.enter(socketRunning)
		if err := k.m.request(s.name, jobStart, nil); err != nil {
			k.log.printf("%v", err)
			k.fail(badResources)
		}
	}
}

// flush throws away what waits in the queues. It asks before each step, since a
// service may have made its sockets blocking.
func (k *socket) flush() {
	for _, l := range k.open {
		for l.readable() {
			if fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC); err == nil {
				_ = unix.Close(fd) // it is being thrown away
			} else if n, err := unix.Read(l.fd, make([]byte, 4096)); n <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}

// serviceChanged follows the service: it listens again once that is down.
func (k *socket) serviceChanged(s *service) {
	if k.state != socketListening && k.state != socketRunning {
		return
	}
	switch {
	case s.limitHit:
		k.fail(serviceLimitHit)
	case s.job != nil:
	case s.state.down() || s.state == autoRestart || s.state == finalTerm || s.state == finalKill:
		if k.state == socketRunning {
			if k.conf.flushPending {
				k.flush()
			}
			k.enter(socketListening)
		}
	case s.state == running && k.state == socketListening:
		k.enter(socketRunning)
	}
}

// tellSockets lets the socket units of a service follow it.
func (m *Manager) tellSockets(u unit) {
	s, ok := u.(*service)
	if !ok {
		return
	}
	for _, other := range m.units {
		if k, ok := other.(*socket); ok && k.conf.service == s.name {
			k.serviceChanged(s)
		}
	}
}

// isTriggered reports whether an open socket unit refers to the service.
func (m *Manager) isTriggered(name string) bool {
	for _, other := range m.units {
		if k, ok := other.(*socket); ok && k.conf.service == name && k.activeState() == "active" {
			return true
		}
	}
	return false
}

// service returns the service of that name, nil if there is none.
func (m *Manager) service(name string) *service {
	s, _ := m.units[name].(*service)
	return s
}

func (k *socket) properties() map[string]string {
	var listen []string
	for _, l := range k.open {
		listen = append(listen, fmt.Sprintf("%s (%s)", l.address, l.kind))
	}
	if k.open == nil {
		for _, line := range k.conf.listen {
			listen = append(listen, fmt.Sprintf("%s (%s)", line.address, line.kind))
		}
	}
	return map[string]string{
		"ActiveState": k.activeState(), "SubState": string(k.state), "Result": string(k.result),
		"FileDescriptorName": k.conf.fdName, "Listen": strings.Join(listen, "\n"), "Triggers": k.conf.service,
	}
}
