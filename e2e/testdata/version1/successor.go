package main

import (
	"fmt"
	"os"
	"syscall"
)

// succeed takes over from the predecessor that has started this process, and
// returns when it is the main process.
func (g *generation) succeed() error {
	os.Unsetenv("CUTOVER_LINE")
	syscall.CloseOnExec(3)
	l, err := newLine(os.NewFile(3, "line"))
	if err != nil {
		return err
	}
	g.before = l
	if err := g.prepare(); err != nil {
		l.say(failed, body{Reason: err.Error()})
		return err
	}
	return g.takeOver()
}

// prepare is the exchange up to Ready.
func (g *generation) prepare() error {
	theirs, err := g.greetPredecessor()
	if err != nil {
		return err
	}
	g.number = theirs.Generation + 1
	for last := false; !last; {
		batch, err := g.before.expect(descriptors)
		if err != nil {
			return err
		}
		if len(batch.Entries) != len(batch.files) {
			return fmt.Errorf("%d names for %d descriptors", len(batch.Entries), len(batch.files))
		}
		g.entries, g.files = append(g.entries, batch.Entries...), append(g.files, batch.files...)
		last = batch.Last
		if err := g.before.say(received, body{}); err != nil {
			return err
		}
	}
	if err := g.serve(); err != nil {
		return err
	}
	if manner == "unintelligible" {
		return g.before.write(99, body{})
	}
	return g.before.say(ready, body{})
}

func (g *generation) greetPredecessor() (message, error) {
	ours := body{PID: os.Getpid(), PPID: os.Getppid()}
	if manner != "liar" {
		return g.before.greet(ours)
	}
	theirs, err := g.before.expect(hello)
	if err != nil {
		return theirs, err
	}
	ours.PPID, ours.Min, ours.Max = theirs.PPID, 1, 1
	return theirs, g.before.say(hello, ours)
}

// takeOver is the exchange from Ready to Committed.
func (g *generation) takeOver() error {
	asked := false // to be main
	for {
		m, err := g.before.hear()
		if over(err) && asked {
			return nil // the predecessor died in the commit: this process goes on
		}
		if err != nil {
			return fmt.Errorf("predecessor: %w", err)
		}
		switch m.kind {
		case states:
			g.saved.Names = append(g.saved.Names, m.Names...)
			g.saved.files = append(g.saved.files, m.files...)
			g.saved.Stored = m.Stored
		case goAhead:
			g.door.open()
			if err := g.before.say(serving, body{}); err != nil {
				return err
			}
		case committing:
			asked = true
		case committed:
			return nil
		case draining:
			g.older.Store(int64(m.Generations))
		default:
			return fmt.Errorf("kind %d out of turn", m.kind)
		}
	}
}

// hearPredecessor keeps the number of generations that drain, until that is 0.
func (g *generation) hearPredecessor() {
	if g.before == nil {
		return
	}
	for {
		m, err := g.before.hear()
		if err != nil {
			g.older.Store(0)
			return
		}
		if m.kind == draining {
			g.older.Store(int64(m.Generations))
		}
	}
}
