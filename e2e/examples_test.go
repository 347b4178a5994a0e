package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// exampleSite is an example that is a module of its own, under a real systemd, with
// the client that its folder loadtest has.
type exampleSite struct {
	*site
	unit    string
	load    string        // path of the client, inside
	between time.Duration // two upgrades; 0 means 300 ms
}

// newExample installs examples/NAME as its README would, and starts it.
func newExample(t *testing.T, root machine.Root, name string) *exampleSite {
	t.Helper()
	s := emptySite(t, root)
	e := &exampleSite{site: s, unit: "cutover-" + name + ".service", load: "/usr/local/bin/loadtest"}
	files, err := units.Load("", "../examples/"+name+"/units")
	s.must(err)
	s.put(files)
	s.must(s.machine.DaemonReload(s.ctx))
	s.must(s.machine.CopyFile(moduleProgram(t, name, "."), "/usr/local/bin/cutover-"+name))
	s.must(s.machine.CopyFile(moduleProgram(t, name, "./loadtest"), e.load))
	s.must(s.machine.Start(s.ctx, e.unit)) // and its sockets, which it requires
	return e
}

// moduleProgram builds a package of the module examples/NAME, whose dependencies are
// not ours.
func moduleProgram(t testing.TB, name, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-C", "../examples/"+name, "-buildvcs=false", "-ldflags", "-X main.version=v1", "-o", path, pkg)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0") // static, for trees whose libc is older than ours
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s of examples/%s: %v\n%s", pkg, name, err, out)
	}
	return path
}

// upgradesUnderLoad reloads n times while the client asks, and puts what it reports
// into report.
func (e *exampleSite) upgradesUnderLoad(n int, report any, args ...string) {
	e.Helper()
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	client := e.machine.Command(ctx, e.load, args...)
	var stderr bytes.Buffer
	client.Stderr = &stderr
	input, err := client.StdinPipe()
	e.must(err)
	output, err := client.StdoutPipe()
	e.must(err)
	e.must(client.Start())
	for range n {
		e.pause()
		e.reloads()
	}
	e.pause()
	e.must(input.Close())
	text, err := io.ReadAll(output)
	e.must(err)
	if err := client.Wait(); err != nil {
		e.Fatalf("the client: %v\n%s", err, &stderr)
	}
	e.must(json.Unmarshal(text, report))
	if restarts, err := e.machine.Show(e.ctx, e.unit, "NRestarts"); err != nil || restarts != "0" {
		e.Errorf("NRestarts=%s, %v", restarts, err)
	}
}

// reloads upgrades the service.
func (e *exampleSite) reloads() {
	e.Helper()
	before, err := e.machine.Show(e.ctx, e.unit, "MainPID")
	e.must(err)
	e.must(e.machine.Reload(e.ctx, e.unit))
	if now, err := e.machine.Show(e.ctx, e.unit, "MainPID"); err != nil || now == before {
		e.Errorf("after an upgrade MainPID=%s as before (%v)", now, err)
	}
}

// pause lets the client go on between two upgrades.
func (e *exampleSite) pause() {
	select {
	case <-time.After(cmp.Or(e.between, 300*time.Millisecond)):
	case <-e.ctx.Done():
	}
}

func (e *exampleSite) end() {
	if e.Failed() {
		text, err := e.machine.Log(e.ctx, e.unit)
		e.Logf("journal of %s (%v):\n%s", e.unit, err, tail(text, 60))
	}
}

// tally is what a client reports of one kind of calls.
type tally struct {
	Sent, Answered int
	First          []string
}

func (c tally) String() string {
	return fmt.Sprintf("%d sent, %d answered %q", c.Sent, c.Answered, c.First)
}

// TestGRPCUpgradesLoseNothing asks examples/grpc on kept and on new connections, and
// has streams, through upgrades.
func TestGRPCUpgradesLoseNothing(t *testing.T) {
	modulesToo(t)
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		e := newExample(t, root, "grpc")
		defer e.end()
		var r struct {
			Kept, Fresh, Streams tally
			TransparentRetries   int
			Generations          map[int]int
		}
		e.upgradesUnderLoad(*upgrades, &r, "-kept", "200", "-fresh", "40", "-streams", "5")
		t.Logf("kept: %v\nfresh: %v\nstreams: %v\n%d transparent retries, by generation: %v", r.Kept, r.Fresh, r.Streams, r.TransparentRetries, r.Generations)
		for _, c := range []tally{r.Kept, r.Fresh, r.Streams} {
			if c.Sent == 0 || c.Answered != c.Sent {
				t.Error(c)
			}
		}
		if len(r.Generations) < 2 { // the client may not have run yet before one of the upgrades
			t.Errorf("generations that have answered: %v, want several", r.Generations)
		}
	})
}

// TestDNSUpgradesLoseNothing asks examples/dns 5,000 times a second over UDP through
// upgrades.
func TestDNSUpgradesLoseNothing(t *testing.T) {
	modulesToo(t)
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		e := newExample(t, root, "dns")
		defer e.end()
		var r struct {
			Sent, Answered, Twice int
			Generations           map[int]int
		}
		e.upgradesUnderLoad(*upgrades, &r, "-rate", "5000")
		t.Logf("%d sent, %d answered, %d twice, by generation: %v", r.Sent, r.Answered, r.Twice, r.Generations)
		if r.Sent == 0 || r.Answered != r.Sent || r.Twice != 0 || len(r.Generations) != *upgrades+1 {
			t.Errorf("want all answered once, by %d generations", *upgrades+1)
		}
	})
}

// TestWebSocketUpgradesLoseNothing has clients of examples/websocket, which serves with
// coder/websocket and gorilla/websocket, stay connected through upgrades.
func TestWebSocketUpgradesLoseNothing(t *testing.T) {
	modulesToo(t)
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		e := newExample(t, root, "websocket")
		defer e.end()
		var r struct {
			Sent, Answered, Pushes, Closed int
			Generations                    map[int]int
			First                          []string
		}
		e.upgradesUnderLoad(max(*upgrades, 4), &r, "-clients", "200", "-rate", "2")
		t.Logf("%d sent, %d answered, %d pushes, %d closed, by generation: %v %q", r.Sent, r.Answered, r.Pushes, r.Closed, r.Generations, r.First)
		if r.Sent == 0 || r.Answered != r.Sent || r.Pushes == 0 || r.Closed != 0 || len(r.First) > 0 || len(r.Generations) < 4 {
			t.Error("want each message answered once, in order, and no connection closed")
		}
	})
}
