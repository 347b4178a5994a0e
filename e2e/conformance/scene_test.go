package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/probe"
	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/internal/testproc"
)

// sceneTime bounds a scenario on a machine that has much else to do; most take a tenth
// of a second.
const sceneTime = 3 * time.Minute

// A scene is a scenario that is being played to a subject, with units of its own.
type scene struct {
	testing.TB
	*subject
	ctx    context.Context
	name   string // of its units, without the suffix
	probes chan *testproc.Process
	came   []*testproc.Process
	units  []string // to be stopped
}

// scenes counts those of this run.
var scenes atomic.Int64

// newScene prepares a scene whose units are stopped at its end.
func newScene(t testing.TB, sub *subject) *scene {
	ctx, cancel := context.WithTimeout(context.Background(), sceneTime)
	t.Cleanup(cancel)
	name := fmt.Sprintf("probe-%s%d-%d-%d", sub.label, sub.Version(), os.Getpid(), scenes.Add(1))
	s := &scene{TB: t, subject: sub, ctx: ctx, name: name, probes: sub.door.expect(name)}
	t.Cleanup(s.end)
	return s
}

// end stops the units: the sockets while the service still runs, since one that is
// ready all the time, as a file in /proc is, would start it again, and keeps PID 1 from
// all else if that happens while its stop is pending. A probe whose connection is
// closed ends by itself.
func (s *scene) end() {
	if s.Failed() {
		for _, u := range s.units {
			text, err := s.manager.Log(s.ctx, u)
			s.Logf("log of %s (%v):\n%s", u, err, text)
		}
	}
	s.door.leave(s.name)
	for range len(s.probes) {
		s.came = append(s.came, <-s.probes)
	}
	s.stop(".socket")
	for _, p := range s.came {
		p.Disconnect()
	}
	s.stop(".service")
}

// stop stops the units of a kind.
func (s *scene) stop(suffix string) {
	for _, u := range s.units {
		if !strings.HasSuffix(u, suffix) {
			continue
		}
		if err := s.Stop(s.ctx, u); err != nil {
			s.Errorf("stop %s: %v", u, err)
		}
	}
}

// service is the scene's service.
func (s *scene) service() string { return s.name + ".service" }

// install installs the service, which runs a probe and is of Type=notify unless
// the lines say otherwise. PROBE in them stands for the probe's path.
func (s *scene) install(lines ...string) {
	s.Helper()
	s.must(s.tryInstall(s.service(), append([]string{"[Service]", "Type=notify", "ExecStart=PROBE main"}, s.env(lines)...)))
	s.units = append(s.units, s.service())
}

// listen installs and starts NAME.socket of the scene.
func (s *scene) listen(lines ...string) {
	s.Helper()
	unit := s.name + ".socket"
	s.must(s.tryInstall(unit, append([]string{"[Socket]"}, lines...)))
	s.units = append(s.units, unit)
	s.must(s.Start(s.ctx, unit))
}

// env puts what a probe needs before lines.
func (s *scene) env(lines []string) []string {
	return append([]string{"Environment=" + probe.Address + "=" + s.door.path + " " + probe.Unit + "=" + s.name}, lines...)
}

func (s *scene) tryInstall(unit string, lines []string) error {
	text := strings.Join(lines, "\n") + "\n"
	return s.Install(s.ctx, unit, strings.ReplaceAll(text, "PROBE", s.program))
}

// start starts the service and has its probe say READY=1.
func (s *scene) start() *probe.Probe {
	s.Helper()
	return s.startBy(s.Start)
}

// restart restarts the service likewise.
func (s *scene) restart() *probe.Probe {
	s.Helper()
	return s.startBy(s.Restart)
}

func (s *scene) startBy(job func(ctx context.Context, unit string) error) *probe.Probe {
	s.Helper()
	outcome := s.begin(job)
	p := s.next()
	p.Send("READY=1")
	s.must(outcome())
	return p
}

// begin starts a job for the service; the function that it returns waits for the
// outcome.
func (s *scene) begin(job func(ctx context.Context, unit string) error) (outcome func() error) {
	done := make(chan error, 1)
	go func() { done <- job(s.ctx, s.service()) }() // ends with the scene's ctx at the latest
	return func() error { return <-done }
}

// next returns the probe that comes next.
func (s *scene) next() *probe.Probe {
	s.Helper()
	select {
	case p := <-s.probes:
		s.came = append(s.came, p)
		return probe.New(p, s.TB, s.ctx, s.next)
	case <-s.ctx.Done():
		s.Fatal("no probe came")
		return nil
	}
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// shows fails unless the properties of the service, "Name=value" each, are so.
func (s *scene) shows(properties ...string) {
	s.Helper()
	names := make([]string, len(properties))
	for i, p := range properties {
		names[i], _, _ = strings.Cut(p, "=")
	}
	have := s.properties(names...)
	for i, want := range properties {
		if got := names[i] + "=" + have[names[i]]; got != want {
			s.Errorf("%s, want %s", got, want)
		}
	}
}

// properties returns the values of these properties of the service.
func (s *scene) properties(names ...string) map[string]string {
	s.Helper()
	values := map[string]string{}
	for _, n := range names {
		v, err := s.Show(s.ctx, s.service(), n)
		if err != nil {
			s.Errorf("show: %v", err)
		}
		values[n] = v
	}
	return values
}

// exits fails unless err is that of a systemctl with this exit code; 0 is none.
func (s *scene) exits(err error, want int) {
	s.Helper()
	if got := exitCode(err); got != want {
		s.Errorf("systemctl: %v, want exit code %d", err, want)
	}
}

// exitCode is that of systemctl, -1 if there is none.
func exitCode(err error) int {
	var real *machine.ExitError
	var fake *upgradetest.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &real):
		return real.Code
	case errors.As(err, &fake):
		return fake.Code
	}
	return -1
}

// ends waits until the manager is through with a service whose main process has
// ended, or is about to: a stop job returns then, and leaves the outcome as it is.
func (s *scene) ends() {
	s.Helper()
	s.must(s.Stop(s.ctx, s.service()))
}

// await waits until the property of the service has the value.
func (s *scene) await(property, value string) {
	s.Helper()
	for s.properties(property)[property] != value {
		if s.ctx.Err() != nil {
			s.Fatalf("%s does not become %q", property, value)
		}
		s.pass(20 * time.Millisecond)
	}
}

// pass lets time pass, where that is the point: a timeout would be over.
func (s *scene) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}
