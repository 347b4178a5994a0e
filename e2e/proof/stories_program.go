package proof

import (
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// replacement is the time for an upgrade to take place of which the reload does not wait for
// the end.
const replacement = 10 * time.Second

// replaced checks that the main process executes the deployed program after e.
func (s *scene) replaced(e *record.Event) error {
	for end := time.Now().Add(replacement); s.outdated(e.After) || e.After == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return flawf("systemctl reload succeeded, and the main process %d still executes the old file. Likely cause: %s does not upgrade the program, "+
				"or the signal that it sends is handled otherwise.", e.After, s.units.says("ExecReload"))
		}
		e.Done, e.After = s.r.Now(), s.main(s.ctx)
	}
	return nil
}

func (s *scene) brokenProgram() error {
	if err := s.deployWrapper(s.ctx, "exit", 0, "a program that exits at once"); err != nil {
		return err
	}
	return s.survives("a program that exits at once")
}

func (s *scene) hangInTheStart() error {
	if err := s.deployWrapper(s.ctx, "hang", 0, "a program that hangs"); err != nil {
		return err
	}
	return s.survives("a program that hangs in its start")
}

// survives reloads a deployed program that cannot start: the reload fails and the old
// process serves.
func (s *scene) survives(what string) error {
	e, err := s.reload(what)
	if err != nil && s.ctx.Err() != nil {
		return err
	}
	if err := s.pass(); err != nil {
		return err
	}
	switch now := s.main(s.ctx); {
	case now != e.Before:
		s.endLoad()
		return flawf("After the reload of %s the main process is %d instead of %d: the old process has ended before the new one was ready. "+
			"Likely cause: %s, %s; the program has to wait for its successor, as Upgrader.Upgrade does. %s",
			what, now, e.Before, s.units.says("Type"), s.units.says("ExecReload"), s.journal(s.ctx))
	case err == nil:
		s.endLoad()
		return flawf("systemctl reload of %s succeeded: a deployment would go on with a program that does not run. Likely cause: %s, %s: "+
			"the command has to wait for the result, as `myapp reload` and cutover-reload do; a signal and notify-reload cannot fail.",
			what, s.units.says("ExecReload"), s.units.says("Type"))
	}
	if _, ok := refusal(err); !ok {
		s.endLoad()
		return flawf("systemctl reload of %s did not end: %v. Likely cause: %s has no time limit; reexec.Options.ReadyTimeout is one, and %s.",
			what, err, s.units.says("ExecReload"), s.units.says("TimeoutStartSec"))
	}
	return s.nothingLost()
}

// slowStart is about the time until the new process is ready. Losses in the drain belong to
// the reload under load.
func (s *scene) slowStart() error {
	if err := s.deployWrapper(s.ctx, "wait", s.Slow, "a program that starts slowly"); err != nil {
		return err
	}
	e, err := s.reload("a program that starts " + s.Slow.String() + " late")
	if err != nil {
		said, ok := refusal(err)
		if !ok {
			said = err.Error()
		}
		return flawf("systemctl reload of a program that starts %v late failed: %s. Likely cause: %s is too short, or reexec.Options.ReadyTimeout is. %s",
			s.Slow, said, s.units.says("TimeoutStartSec"), s.journal(s.ctx))
	}
	if err := s.replaced(e); err != nil {
		return err
	}
	if err := s.pass(); err != nil {
		return err
	}
	s.endLoad()
	var dark []record.Request
	for _, q := range s.lost() {
		if e.Phase(at(q)) == record.Starting {
			dark = append(dark, q)
		}
	}
	if err := s.died(dark); err != nil || len(dark) == 0 {
		return err
	}
	return flawf("%s %s", s.describe(dark), s.cause(dark))
}
