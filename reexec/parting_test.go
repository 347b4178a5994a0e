//go:build linux

package reexec_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestATrialThatEndsCutsNothing that the successor has accepted, whoever ends it,
// as long as the successor lives.
func TestATrialThatEndsCutsNothing(t *testing.T) {
	t.Parallel()
	ends := []struct {
		name, why string
		end       func(*attempt)
	}{
		{"by whoever asked for it", "the caller has changed its mind", func(a *attempt) { a.upgrade.Cancel() }},
		{"by a stop of the successor", "the successor was asked to end", func(a *attempt) { a.two.signal(unix.SIGTERM) }},
		{"by a failure", "no configuration", func(a *attempt) { a.two.Do("fail", "no configuration") }},
	}
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(onTrial, trial)
			client := s.visit("tcp", a.address)
			e.end(a)
			a.undone("(trial, process ", e.why)
			a.part(client)
			s.hosted(a.address, a.one)
		})
	}
	t.Run("without a drain deadline", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(onTrial, `{"NoSignals":false,"Trial":`+hour+`,"Drain":9223372036854775807}`)
		client := s.visit("tcp", a.address)
		a.two.Do("fail", "no configuration")
		a.undone("(trial, process ", "no configuration")
		a.part(client)
	})
	t.Run("by a stop of the predecessor", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(onTrial, trial)
		client := s.visit("tcp", a.address)
		drain := a.one.Begin("drain")
		a.one.signal(unix.SIGTERM)
		a.upgrade.Fails("(trial, process ", "this process is stopping")
		drain.Text()
		a.one.Do("close")
		a.one.Exit(0)
		a.part(client)
	})
	t.Run("by a stop of both", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(onTrial, trial)
		client := s.visit("tcp", a.address)
		s.must(unix.Kill(-a.one.PID, unix.SIGTERM))
		a.upgrade.Fails("(trial, process ")
		a.one.Do("drain")
		a.one.Do("close")
		a.part(client)
	})
	t.Run("by a commit that cannot be told", func(t *testing.T) {
		s := newScene(t)
		v := s.supervise()
		a := s.attempt(onTrial, shortTrial)
		client := s.visit("tcp", a.address)
		v.vanish()
		a.undone("(commit, process ", "notify")
		a.part(client)
		s.hosted(a.address, a.one)
	})
}

// part checks that a successor which is not to accept any more finishes its work.
func (a *attempt) part(client *testClient) {
	a.two.Helper()
	client.talk()
	drain := a.two.Begin("drain")
	client.talk()
	client.leave()
	drain.Text()
	a.two.Do("close")
	a.two.Exit(0)
}
