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
		a.say(reply{What: "blocked"})
		select {} // the process ends with it
	}
	return errors.New(how)
}

func TestSaveThatPanicsUndoesTheUpgrade(t *testing.T) {
	for _, mode := range []string{"{}", `{"Mode":"in-place"}`} {
		t.Run(mode, func(t *testing.T) {
			s := newStage(t)
			one := s.start()
			one.do("new", mode)
			one.do("save badly", "s", "panic")
			address := one.do("listen", "a", "tcp", anywhere)
			one.do("ready")
			upgrade := one.begin("upgrade")
			two := s.next()
			two.do("new", mode)
			two.do("listen", "a", "tcp", anywhere)
			ready := two.begin("ready")
			if mode != "{}" {
				ready.fails("tried and found good")
				two.exit("0")
			}
			upgrade.fails(`save state "s"`, "panicked: out of order")
			s.hosted(address, one)
			one.await("callback panicked", "misbehave") // the stack
		})
	}
}

func TestSaveThatBlocksUndoesTheUpgradeAndDoesNotKeepTheProcess(t *testing.T) {
	for _, mode := range []string{"{}", `{"Mode":"in-place"}`} {
		t.Run(mode, func(t *testing.T) {
			s := newStage(t)
			one := s.start()
			one.do("new", mode)
			one.do("save badly", "s", "block")
			address := one.do("listen", "a", "tcp", anywhere)
			one.do("ready")
			for _, reason := range []string{`save state "s": Save has not returned`, "an earlier Save have not returned"} {
				upgrade := one.begin("upgrade")
				two := s.next()
				two.do("new", mode)
				two.do("listen", "a", "tcp", anywhere)
				ready := two.begin("ready")
				if mode != "{}" {
					ready.fails("tried and found good")
					two.exit("0")
				}
				upgrade.fails(reason)
				s.hosted(address, one)
			}
			one.do("stop")
			one.do("drain")
			one.do("close")
			one.exit("0")
		})
	}
}

func TestRestoreThatPanicsUndoesTheUpgrade(t *testing.T) {
	s := newStage(t)
	one := s.start()
	one.do("new", "{}")
	one.do("save", "s", "x")
	address := one.do("listen", "a", "tcp", anywhere)
	one.do("ready")
	upgrade := one.begin("upgrade")
	two := s.next()
	two.do("new", "{}")
	two.do("restore badly", "s", "panic")
	two.do("listen", "a", "tcp", anywhere)
	two.begin("ready") // the predecessor kills the process, perhaps before the answer
	upgrade.fails(`restore state "s"`, "panicked: out of order")
	s.hosted(address, one)
}

func TestNextThatBlocksDoesNotBlockTheProcess(t *testing.T) {
	s := newStage(t)
	one := s.start()
	one.do("next", "block")
	one.do("new", `{"NoSignals":false,"ReadyTimeout":100000000}`)
	address := one.do("listen", "a", "tcp", anywhere)
	one.do("ready")
	one.begin("upgrade").fails("Options.Next", "not returned")
	one.begin("upgrade").fails("Options.Next", "an earlier upgrade has not returned")
	s.hosted(address, one)
	one.signal(unix.SIGTERM)
	one.do("drain")
	one.do("close")
	one.exit("0")
	s.nobody()
}

func TestAnUpgradeIsCanceledAndStoppedWhileNextBlocks(t *testing.T) {
	s := newStage(t)
	one := s.start()
	one.do("next", "block")
	one.do("new", "{}")
	one.do("listen", "a", "tcp", anywhere)
	one.do("ready")
	canceled := one.begin("upgrade")
	one.await("blocked", "")
	canceled.cancel()
	canceled.fails("the caller has changed its mind")

	two := s.start()
	two.do("next", "block")
	two.do("new", "{}")
	two.do("listen", "a", "tcp", anywhere)
	two.do("ready")
	stopped := two.begin("upgrade")
	two.await("blocked", "")
	two.do("stop")
	stopped.fails("this process is stopping")
	two.do("drain")
	two.do("close")
	two.exit("0")
}

func TestNextThatPanicsUndoesTheUpgrade(t *testing.T) {
	s := newStage(t)
	one := s.start()
	one.do("next", "panic")
	one.do("new", "{}")
	address := one.do("listen", "a", "tcp", anywhere)
	one.do("ready")
	one.begin("upgrade").fails("Options.Next", "panicked: out of order")
	one.begin("upgrade").fails("Options.Next", "panicked: out of order")
	s.hosted(address, one)
	s.nobody()
}
