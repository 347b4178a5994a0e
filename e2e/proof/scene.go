package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A scene is a story that is being told: the daemon serves and is under load.
type scene struct {
	*proof
	ctx    context.Context
	began  time.Duration
	load   running
	events []*record.Event
	before int  // how often systemd had restarted the service before the last upgrade
	ended  bool // the load is
}

// A flaw is the reason why a story has failed.
type flaw struct{ text string }

func (f *flaw) Error() string { return f.text }

func flawf(format string, args ...any) error { return &flaw{fmt.Sprintf(format, args...)} }

// A missing is the reason why a story cannot be told.
type missing struct{ text string }

func (m *missing) Error() string { return m.text }

// tell tells one story and records its verdict.
func (p *proof) tell(ctx context.Context, s story) record.Story {
	p.telling = s.name
	told := record.Story{Name: s.name, Began: p.r.Now(), Verdict: record.Passed}
	err := p.ready(ctx)
	sc := &scene{proof: p, ctx: ctx, began: p.r.Now()}
	if err == nil && s.streams != nil {
		sc.load = start(ctx, &p.Daemon, p.stage.DialContext, p.r, s.streams)
		stop := p.sampling(ctx)
		err = sc.pass()
		if err == nil {
			err = s.tell(sc)
		}
		sc.endLoad()
		stop()
	} else if err == nil {
		err = s.tell(sc)
	}
	for _, e := range sc.events {
		p.r.Event(*e)
	}
	sc.count(&told)
	switch {
	case errors.As(err, new(*missing)):
		told.Verdict, told.Reason = record.Skipped, err.Error()
	case err != nil:
		told.Verdict, told.Reason = record.Failed, err.Error()
	}
	told.Ended = p.r.Now()
	p.r.Story(told)
	p.Log(fmt.Sprintf("%s: %s, %d requests, %d lost, %d excused", told.Name, told.Verdict, told.Requests, told.Lost, told.Excused))
	p.telling = ""
	return told
}

// ready brings the daemon back to its own program, if the story before left something else.
func (p *proof) ready(ctx context.Context) error {
	state, err := p.stage.Show(ctx, p.units.service, "ActiveState")
	if err != nil {
		return err
	}
	if main := p.main(ctx); state == "active" && main > 0 && p.executes(main) == p.path {
		return nil
	}
	if err := p.deploy(); err != nil {
		return err
	}
	if err := p.bounded(ctx, p.units.service, p.stage.Stop); err != nil {
		return err
	}
	return p.begin(ctx)
}

// main returns the main process, 0 if there is none.
func (p *proof) main(ctx context.Context) int {
	text, err := p.stage.Show(ctx, p.units.service, "MainPID")
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(text) // systemd's own number
	p.last.Store(int64(pid))
	return pid
}

// executes returns the file that a process executes, as the kernel names it: with
// " (deleted)" once the file was replaced.
func (p *proof) executes(pid int) string {
	host, err := p.stage.HostPID(pid)
	if err != nil {
		return ""
	}
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", host)) // a process that has just ended
	return link
}

func (p *proof) outdated(pid int) bool { return strings.HasSuffix(p.executes(pid), " (deleted)") }

// lull is the number of answers that a story waits for before and after an upgrade.
const lull = 60

// pass lets the load go on for a while. A daemon that does not answer shows in the lost
// requests.
func (s *scene) pass() error {
	select {
	case <-s.r.more(lull):
		return nil
	case <-time.After(DefaultTimeout):
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// endLoad ends the load and waits for the answers that are due.
func (s *scene) endLoad() {
	if !s.ended && s.load.stop != nil {
		s.load.stop()
	}
	s.ended = true
}

// reload upgrades the daemon. The error is that of systemctl.
func (s *scene) reload(text string) (*record.Event, error) {
	s.before = s.restarts()
	return s.operate(record.Reload, text, s.stage.Reload)
}

func (s *scene) restart(text string) (*record.Event, error) {
	return s.operate(record.Restart, text, s.stage.Restart)
}

func (s *scene) operate(kind record.Kind, text string, f func(context.Context, string) error) (*record.Event, error) {
	e := record.Event{Kind: kind, Story: s.telling, At: s.r.Now(), Before: s.main(s.ctx), Text: text}
	ended := s.watch(e.Before)
	err := s.bounded(s.ctx, s.units.service, f)
	e.Done, e.After = s.r.Now(), s.main(s.ctx)
	if at := ended(); at != 0 && kind == record.Reload && e.Before != e.After {
		// The upgrade was done before the replaced process began to end, and systemctl has
		// returned later.
		e.Done, e.Drained = min(e.Done, max(e.At, at-afterDeath)), at
	}
	if err != nil {
		e.Error = err.Error()
	}
	s.events = append(s.events, &e)
	return &e, err
}

// watch waits for the end of a process. ended ends that and returns the time of it, 0 if
// the process lives.
func (s *scene) watch(pid int) (ended func() time.Duration) {
	host, err := s.stage.HostPID(pid)
	if err != nil {
		return func() time.Duration { return 0 }
	}
	ctx, cancel := context.WithCancel(s.ctx)
	at := make(chan time.Duration, 1)
	go func() { // ends with ctx; ended waits
		if gone, err := awaitEnd(ctx, host, s.Patience); gone && err == nil {
			at <- s.r.Now()
		}
		close(at)
	}()
	return func() time.Duration {
		cancel()
		return <-at
	}
}

// drained waits until the replaced process of e has ended, with the load on.
func (s *scene) drained(e *record.Event) error {
	if e.Drained != 0 {
		return nil
	}
	if e.Before == 0 || e.Before == e.After {
		e.Drained = e.Done
		return nil
	}
	host, err := s.stage.HostPID(e.Before)
	ended := errors.Is(err, os.ErrProcessDone)
	if err == nil {
		if ended, err = awaitEnd(s.ctx, host, s.Drain); err != nil {
			return err
		}
	}
	if !ended {
		return flawf("The replaced process %d has not ended %v after the upgrade. Likely cause: it waits for connections without a deadline "+
			"(reexec.Options.Drain is one), or %s. Daemon.Drain has to be longer than the drain deadline of the program.", e.Before, s.Drain, s.units.says("TimeoutStopSec"))
	}
	e.Drained = s.r.Now()
	return nil
}

// kill kills a process and waits for its end.
func (s *scene) kill(pid int, text string) (*record.Event, error) {
	e := record.Event{Kind: record.Kill, Story: s.telling, At: s.r.Now(), Before: pid, Text: text}
	host, err := s.stage.HostPID(pid)
	if err == nil {
		err = s.stage.Signal(pid, syscall.SIGKILL)
	}
	if err == nil {
		_, err = awaitEnd(s.ctx, host, s.Patience)
	}
	e.Done = s.r.Now()
	e.Drained = e.Done
	s.events = append(s.events, &e)
	return &e, err
}

// recovery is the longest time from the death of the main process to the next one. It is
// shorter than the timeout of the requests that wait for it.
const recovery = 15 * time.Second

// restarted waits until another process than the killed one is the main process and active.
func (s *scene) restarted(killed *record.Event) bool {
	for end := time.Now().Add(recovery); time.Now().Before(end) && s.ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		state, _ := s.stage.Show(s.ctx, s.units.service, "ActiveState") // an error is no state
		if pid := s.main(s.ctx); state == "active" && pid != 0 && pid != killed.Before {
			killed.After = pid
			return true
		}
	}
	return false
}
