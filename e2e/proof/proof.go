package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A proof is a daemon on a stage, of which stories can be told.
type proof struct {
	Daemon
	units *unitFiles
	stage stage
	less  error // why the stage is not a real systemd, nil if it is
	r     *collector
	dir   string // of files on this host

	built, wrapper string // programs on this host
	path           string // of the program on the stage
	telling        string // the name of the story

	last atomic.Int64 // the main process at the last look
}

// Prove tells the stories of d and returns the data of the run: the verdict of each story,
// and every request. The error says why stories could not be told: the program does not
// build, or no manager can be had. A story that fails is no error; see Report.Failed.
//
// The caller has called Init. Prove blocks until the stories are told, about a minute for all
// of them, and ends early with ctx.
func Prove(ctx context.Context, d Daemon) (*record.Report, error) {
	p, err := prepare(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, s := range p.chosen() {
		if ctx.Err() != nil {
			break
		}
		p.tell(ctx, s)
	}
	return p.r.Report(), errors.Join(context.Cause(ctx), p.close())
}

// prepare builds and starts the daemon. The caller has to close the proof.
func prepare(ctx context.Context, d Daemon) (_ *proof, err error) {
	if err := d.complete(); err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	p := &proof{Daemon: d}
	defer func() {
		if err != nil {
			err = fmt.Errorf("proof: %w", errors.Join(err, p.close()))
		}
	}()
	if p.units, err = readUnits(p.local(d.Units), d.Service); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "cutover-proof-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(p.dir, 0o755); err != nil { // services may run as another user
		return nil, err
	}
	if err := p.build(ctx); err != nil {
		return nil, err
	}
	if p.stage, p.less, err = raise(ctx, &p.Daemon, p.dir); err != nil {
		return nil, err
	}
	if p.less != nil {
		p.Log(fmt.Sprintf("the embedded manager stands for systemd: %v", p.less))
	}
	p.r = newCollector(&p.Daemon, p.units.service, p.stage.name())
	if err := p.install(ctx); err != nil {
		return nil, err
	}
	return p, p.begin(ctx)
}

// begin starts the sockets and the service, and returns when it answers.
func (p *proof) begin(ctx context.Context) error {
	e := record.Event{Kind: record.Start, Story: p.telling, At: p.r.Now(), Text: p.units.service}
	for _, unit := range append(p.units.sockets(), p.units.service) {
		p.stage.resetFailed(ctx, unit)
		if err := p.bounded(ctx, unit, p.stage.Start); err != nil {
			return fmt.Errorf("%s does not start: %w\n%s", unit, err, p.journal(ctx))
		}
		if m, ok := p.stage.(*embedded); ok && unit == p.units.service {
			if err := m.listen(ctx, p.units.listens()); err != nil {
				return err
			}
		}
	}
	e.Done, e.After = p.r.Now(), p.main(ctx)
	p.r.Event(e)
	return p.answers(ctx)
}

// answers waits until the first load is answered: Type=simple is active before it listens.
func (p *proof) answers(ctx context.Context) error {
	r := newCollector(&p.Daemon, "", p.stage.name())
	run := start(ctx, &p.Daemon, p.stage.DialContext, r, all)
	defer run.stop()
	select {
	case <-r.more(len(r.loads)):
		return nil
	case <-time.After(p.Patience):
	case <-ctx.Done():
	}
	for _, q := range r.Report().Lost() {
		return fmt.Errorf("%s does not answer the probe of %s: %s: %s\n%s", p.units.service, r.loadName(q.Load), q.Failure, q.Error, p.journal(ctx))
	}
	return fmt.Errorf("%s does not answer the probe\n%s", p.units.service, p.journal(ctx))
}

// bounded runs a command of the operator within the patience.
func (p *proof) bounded(ctx context.Context, unit string, f func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Patience, fmt.Errorf("not done within %v", p.Patience))
	defer cancel()
	return f(ctx, unit)
}

func (p *proof) close() error {
	var err error
	if p.stage != nil {
		err = p.stage.Close()
	}
	if p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	return err
}

// chosen returns the stories that are to be told.
func (p *proof) chosen() (all []story) {
	for _, s := range stories() {
		if len(p.Stories) == 0 || slices.Contains(p.Stories, s.name) {
			all = append(all, s)
		}
	}
	return all
}

// journal returns the end of the service's journal, for messages.
func (p *proof) journal(ctx context.Context) string {
	text, err := p.stage.Log(context.WithoutCancel(ctx), p.units.service)
	if err != nil {
		return ""
	}
	return "The journal ends with:\n" + lastLines(text, 12)
}
