//go:build linux

package reexec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/upgradetest"
)

func TestAReloadReplacesTheMainProcess(t *testing.T) {
	t.Parallel()
	for _, version := range []int{247, 252, 257, 262} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := newScene(t)
			v := s.service(version, "RuntimeDirectory=a")
			r, addresses := v.start(1)
			for i := range 2 {
				job := v.job(v.manager.Reload)
				next := s.next()
				next.Do("new", signals)
				next.Do("listen", "a", "tcp", anywhere)
				next.Do("ready")
				v.succeeds(job)
				v.shows(mainPID(next), "ActiveState=active", "ReloadResult=success")
				// The manager drops the mark of the upgrade when it sees that the other end is closed.
				s.must(v.manager.Wait(s.ctx, unit, func(p map[string]string) bool { return p["NFileDescriptorStore"] == "1" }))
				if status, err := v.manager.Show(s.ctx, unit, "StatusText"); err != nil || !strings.HasPrefix(status, fmt.Sprintf("generation %d", i+2)) {
					t.Errorf("StatusText=%s, %v", status, err)
				}
				s.hosted(addresses[0], next)
				next.state("serving")
				r.Do("drain")
				r.Do("close")
				r.Exit(0)
				r = next
			}
			v.shows(mainPID(r), "ActiveState=active", "NRestarts=0")
		})
	}
}

func TestAFailedReloadSaysWhy(t *testing.T) {
	s := newScene(t)
	v := s.service(252)
	one, addresses := v.start(1)
	job := v.job(v.manager.Reload)
	two := s.next()
	two.Do("new", signals)
	two.Begin("fail", "no configuration")
	if exit := (*upgradetest.ExitError)(nil); !errors.As(<-job, &exit) {
		t.Error("the reload succeeded")
	}
	v.shows(mainPID(one), "ActiveState=active", "ReloadResult=exit-code",
		fmt.Sprintf("StatusText=generation 1 serves; upgrade undone (start, process %d): no configuration", two.PID))
	if text, err := v.manager.Log(s.ctx, unit); err != nil || !strings.Contains(text, "no configuration") {
		t.Errorf("the journal does not have the reason: %v", err)
	}
	s.hosted(addresses[0], one)
}

// TestTheReloadOfTypeNotifyReload has no command: the manager sends SIGHUP.
func TestTheReloadOfTypeNotifyReload(t *testing.T) {
	s := newScene(t)
	v := s.service(257, "Type=notify-reload", "ExecReload=")
	_, addresses := v.start(1)
	job := v.job(v.manager.Reload)
	two := s.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	v.succeeds(job)
	v.shows(mainPID(two), "ActiveState=active", "ReloadResult=success")
	s.hosted(addresses[0], two)
}

// TestAMainProcessThatDiesInAReloadIsRestarted, at once and not when the reload has
// timed out.
func TestAMainProcessThatDiesInAReloadIsRestarted(t *testing.T) {
	t.Parallel()
	for _, version := range []int{247, 252, 257, 262} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := newScene(t)
			v := s.service(version, "RestartSec=0", "TimeoutStartSec=1h")
			one, addresses := v.start(1)
			job := v.job(v.manager.Reload)
			s.next()
			one.kill()
			<-job // failed, or canceled, whatever the version says
			three := s.next()
			v.opened(three, 1)
			s.must(v.manager.Wait(s.ctx, unit, func(p map[string]string) bool { return p["ActiveState"] == "active" }))
			v.shows(mainPID(three), "NRestarts=1")
			s.hosted(addresses[0], three)
		})
	}
}

// TestARestartKeepsClientsWaiting between the processes.
func TestARestartKeepsClientsWaiting(t *testing.T) {
	s := newScene(t)
	v := s.service(252)
	one, addresses := v.start(1)
	client := s.visit("tcp", addresses[0])
	job := v.job(v.manager.Restart)
	one.state("stopping")
	client.talk()
	waits := make(chan welcome, 1)
	go func() { // ends with the test
		g, err := s.tryVisit("tcp", addresses[0])
		waits <- welcome{g, err}
	}()
	drain := one.Begin("drain")
	client.leave()
	drain.Text()
	one.Do("close")
	one.Exit(0)
	two := s.next()
	if got := v.opened(two, 1); got[0] != addresses[0] {
		t.Errorf("after the restart the socket is at %s, want %s", got[0], addresses[0])
	}
	v.succeeds(job)
	if w := <-waits; w.err != nil || w.client.host != two.PID {
		t.Errorf("who came in between got %+v, %v", w.client, w.err)
	}
	v.shows(mainPID(two), "ActiveState=active", "NRestarts=0")
}

// A welcome is what becomes of a visit in the background.
type welcome struct {
	client *testClient
	err    error
}

// TestACrashIsCoveredUntilTheManagerHasRestarted.
func TestACrashIsCoveredUntilTheManagerHasRestarted(t *testing.T) {
	s := newScene(t)
	v := s.service(252, "RestartSec=0")
	one, addresses := v.start(1)
	client := s.visit("tcp", addresses[0])
	job := v.job(v.manager.Reload)
	two := s.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	v.succeeds(job)
	two.state("serving")
	two.kill()
	one.state("failback")
	s.hosted(addresses[0], one)
	s.must(v.manager.Wait(s.ctx, unit, func(p map[string]string) bool { return p["ActiveState"] == "deactivating" }))
	drain := one.Begin("drain")
	client.talk()
	client.leave()
	drain.Text()
	one.Do("close")
	one.Exit(0)
	three := s.next()
	v.opened(three, 1)
	s.must(v.manager.Wait(s.ctx, unit, func(p map[string]string) bool { return p["ActiveState"] == "active" }))
	v.shows(mainPID(three), "NRestarts=1")
	s.hosted(addresses[0], three)
}

func TestARestartAfterACrashWaitsNoLongerThanAStop(t *testing.T) {
	s := newScene(t)
	v := s.service(252, "RestartSec=0")
	job := v.job(v.manager.Start)
	one := s.next()
	one.Do("new", `{"NoSignals":false,"Drain":3600000000000,"StopDrain":1000000}`)
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	v.succeeds(job)
	client := s.visit("tcp", address)
	job = v.job(v.manager.Reload)
	two := s.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	v.succeeds(job)
	two.state("serving")
	two.kill()
	one.state("failback")
	one.state("stopping") // although the client stays
	client.leave()
	one.Do("drain")
	one.Do("close")
}

// TestAStopDuringAReload ends both processes. The reload command has the stop's
// SIGTERM and the answer at the same time; if it ends by the answer, with a failure,
// so does the unit.
func TestAStopDuringAReload(t *testing.T) {
	for _, place := range []string{started, claimed} {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			v := s.service(252)
			one, _ := v.start(1)
			reload := v.job(v.manager.Reload)
			two := s.next()
			if place == claimed {
				two.Do("new", signals)
				two.Do("listen", "a", "tcp", anywhere)
			}
			stop := v.job(v.manager.Stop)
			one.state("stopping")
			two.AwaitGone()
			one.Do("drain")
			one.Do("close")
			one.Exit(0)
			<-stop
			<-reload // canceled, or failed, whatever the version says
			v.shows("MainPID=0")
			if state, err := v.manager.Show(s.ctx, unit, "ActiveState"); err != nil || state != "inactive" && state != "failed" {
				t.Errorf("ActiveState=%s, %v", state, err)
			}
		})
	}
}
