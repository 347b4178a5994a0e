//go:build linux

package reexec_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// A service is a program that a manager of package upgradetest supervises, as
// systemd would.
type service struct {
	*scene
	manager *upgradetest.Manager
}

const unit = "a.service"

// service installs the actor as a service, with more lines for its unit.
func (s *scene) service(version int, lines ...string) *service {
	s.Helper()
	m, err := upgradetest.NewManager(upgradetest.Options{Version: version, Env: s.environ()})
	s.must(err)
	v := &service{s, m}
	s.Cleanup(v.end)
	text := fmt.Sprintf("[Service]\nType=notify\nExecStart=%[1]s actor\nExecReload=%[1]s reload\nFileDescriptorStoreMax=64\nRestart=on-failure\n%[2]s\n",
		s.path, strings.Join(lines, "\n"))
	s.must(m.Install(s.ctx, unit, text))
	return v
}

// end does not wait for actors, who do nothing unless told to.
func (v *service) end() {
	if v.Failed() {
		text, err := v.manager.Log(context.Background(), unit)
		v.Logf("journal (%v):\n%s", err, text)
	}
	stopped := v.job(v.manager.Stop)
	for pid := range v.members() {
		_ = unix.Kill(pid, unix.SIGKILL) // it may be gone
	}
	<-stopped
	v.must(v.manager.Close())
}

// members returns the processes that have said something.
func (v *service) members() map[int]bool {
	pids := map[int]bool{}
	for _, r := range v.appeared() {
		pids[r.PID] = true
	}
	return pids
}

// job begins what systemctl would wait for.
func (v *service) job(what func(context.Context, string) error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- what(v.ctx, unit) }() // ends with v.ctx
	return done
}

// succeeds waits for a job.
func (v *service) succeeds(job <-chan error) {
	v.Helper()
	if err := <-job; err != nil {
		v.Error(err)
	}
}

// opened brings up an actor that the manager has started, with n sockets of one
// name, and returns their addresses.
func (v *service) opened(r *process, n int) (addresses []string) {
	v.Helper()
	if generation := r.Do("new", signals); generation != "1" {
		v.Errorf("generation %s, want 1", generation)
	}
	for range n {
		addresses = append(addresses, r.Do("listen", "a", "tcp", anywhere))
	}
	r.Do("ready")
	return addresses
}

func (v *service) start(n int) (*process, []string) {
	v.Helper()
	job := v.job(v.manager.Start)
	r := v.next()
	addresses := v.opened(r, n)
	v.succeeds(job)
	return r, addresses
}

// shows checks properties of the unit, "Name=value" each.
func (v *service) shows(properties ...string) {
	v.Helper()
	for _, p := range properties {
		name, want, _ := strings.Cut(p, "=")
		if got, err := v.manager.Show(v.ctx, unit, name); err != nil || got != want {
			v.Errorf("%s=%s, %v, want %s", name, got, err, want)
		}
	}
}

func mainPID(r *process) string { return "MainPID=" + strconv.Itoa(r.PID) }
