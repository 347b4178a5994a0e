//go:build linux

package reexec_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// misbehave is what a callback of an actor does that is told to.
func (a *actor) misbehave(how string) error {
	switch how {
	case "panic":
		panic("out of order")
	case "block":
		a.Report("blocked", "")
		select {} // the process ends with it
	}
	return errors.New(how)
}

func TestSaveThatPanicsUndoesTheUpgrade(t *testing.T) {
	for _, mode := range []string{"{}", `{"Mode":"in-place"}`} {
		t.Run(mode, func(t *testing.T) {
			s := newScene(t)
			one := s.start()
			one.Do("new", mode)
			one.Do("save badly", "s", "panic")
			address := one.Do("listen", "a", "tcp", anywhere)
			one.Do("ready")
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.Do("new", mode)
			two.Do("listen", "a", "tcp", anywhere)
			ready := two.Begin("ready")
			if mode != "{}" {
				ready.Fails("tried and found good")
				two.Exit(0)
			}
			upgrade.Fails(`save state "s"`, "panicked: out of order")
			s.hosted(address, one)
			one.Await("callback panicked", "misbehave") // the stack
		})
	}
}

func TestSaveThatBlocksUndoesTheUpgradeAndDoesNotKeepTheProcess(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"{}", `{"Mode":"in-place"}`} {
		t.Run(mode, func(t *testing.T) {
			s := newScene(t)
			one := s.start()
			one.Do("new", mode)
			one.Do("save badly", "s", "block")
			address := one.Do("listen", "a", "tcp", anywhere)
			one.Do("ready")
			for _, reason := range []string{`save state "s": Save has not returned`, "an earlier Save have not returned"} {
				upgrade := one.Begin("upgrade")
				two := s.next()
				two.Do("new", mode)
				two.Do("listen", "a", "tcp", anywhere)
				ready := two.Begin("ready")
				if mode != "{}" {
					ready.Fails("tried and found good")
					two.Exit(0)
				}
				upgrade.Fails(reason)
				s.hosted(address, one)
			}
			one.Do("stop")
			one.Do("drain")
			one.Do("close")
			one.Exit(0)
		})
	}
}

func TestRestoreThatPanicsUndoesTheUpgrade(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("new", "{}")
	one.Do("save", "s", "x")
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	two.Do("restore badly", "s", "panic")
	two.Do("listen", "a", "tcp", anywhere)
	two.Begin("ready") // the predecessor kills the process, perhaps before the answer
	upgrade.Fails(`restore state "s"`, "panicked: out of order")
	s.hosted(address, one)
}

func TestNextThatBlocksDoesNotBlockTheProcess(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("next", "block")
	one.Do("new", `{"NoSignals":false,"ReadyTimeout":2000000000}`)
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	one.Begin("upgrade").Fails("Options.Next", "not returned")
	one.Begin("upgrade").Fails("Options.Next", "an earlier upgrade has not returned")
	s.hosted(address, one)
	one.signal(unix.SIGTERM)
	one.Do("drain")
	one.Do("close")
	one.Exit(0)
	s.nobody()
}

func TestAnUpgradeIsCanceledAndStoppedWhileNextBlocks(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("next", "block")
	one.Do("new", "{}")
	one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	canceled := one.Begin("upgrade")
	one.Await("blocked", "")
	canceled.Cancel()
	canceled.Fails("the caller has changed its mind")

	two := s.start()
	two.Do("next", "block")
	two.Do("new", "{}")
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	stopped := two.Begin("upgrade")
	two.Await("blocked", "")
	two.Do("stop")
	stopped.Fails("this process is stopping")
	two.Do("drain")
	two.Do("close")
	two.Exit(0)
}

func TestNextThatPanicsUndoesTheUpgrade(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("next", "panic")
	one.Do("new", "{}")
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	one.Begin("upgrade").Fails("Options.Next", "panicked: out of order")
	one.Begin("upgrade").Fails("Options.Next", "panicked: out of order")
	s.hosted(address, one)
	s.nobody()
}
