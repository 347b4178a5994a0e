package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
)

const (
	unitName   = "cutover-http.service"
	binaryPath = "/usr/local/bin/cutover-http"
	address    = "127.0.0.1:8080"
)

// patience bounds whatever a story waits for. It says that something hangs, never
// that it is slow.
const patience = 60 * time.Second

// site is a server under a real systemd, as an operator would have it.
type site struct {
	testing.TB
	machine *machine.Machine
	ctx     context.Context
}

// newSite boots the machine's own systemd and installs the example's units.
func newSite(t testing.TB) *site {
	t.Helper()
	if err := machine.Available(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	m, err := machine.Boot(ctx, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, m, ctx}
	t.Cleanup(s.end)
	s.install("cutover-http.socket", shipped(t, "cutover-http.socket"))
	s.install(unitName, shipped(t, unitName))
	return s
}

func (s *site) end() {
	if s.Failed() {
		text, err := s.machine.Log(s.ctx, unitName)
		s.Logf("journal of %s (%v):\n%s", unitName, err, tail(text, 60))
	}
	if err := s.machine.Close(); err != nil {
		s.Error(err)
	}
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// shipped is a unit of the example.
func shipped(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("../examples/http/units/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *site) install(name, text string) {
	s.Helper()
	s.must(s.machine.Install(s.ctx, name, text))
}

// start starts the program at path as the service, with arguments of its own.
func (s *site) start(path string, args ...string) {
	s.Helper()
	s.deploy(path)
	if len(args) > 0 {
		s.install(unitName+".d/args.conf", "[Service]\nExecStart=\nExecStart="+binaryPath+" "+strings.Join(args, " ")+"\n")
	}
	s.must(s.machine.Start(s.ctx, unitName))
}

// ownReload makes the reload command a binary of its own, so that a story about a
// broken new program is about the successor and not about its reload command.
func (s *site) ownReload(path string) {
	s.Helper()
	s.must(s.machine.CopyFile(path, "/usr/local/bin/cutover-ctl"))
	s.install(unitName+".d/reload.conf", "[Service]\nExecReload=\nExecReload=/usr/local/bin/cutover-ctl reload\n")
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// deploy replaces the binary as a package upgrade would.
func (s *site) deploy(path string) {
	s.Helper()
	s.must(s.machine.CopyFile(path, binaryPath))
}

func (s *site) show(property string) string {
	s.Helper()
	v, err := s.machine.Show(s.ctx, unitName, property)
	s.must(err)
	return v
}

func (s *site) mainPID() int {
	s.Helper()
	pid, err := strconv.Atoi(s.show("MainPID"))
	s.must(err)
	return pid
}

// parent returns the parent of the process pid, as seen inside.
func (s *site) parent(pid int) int {
	s.Helper()
	status, err := s.machine.ReadProc(pid, "status")
	s.must(err)
	m := regexp.MustCompile(`(?m)^PPid:\s+(\d+)$`).FindSubmatch(status)
	if m == nil {
		s.Fatalf("no PPid in %q", status)
	}
	ppid, err := strconv.Atoi(string(m[1]))
	s.must(err)
	return ppid
}

// answer is what a server says of the process that answered, and of its inside
// where it was asked for that.
type answer struct {
	version         string
	generation, pid int
	rest            string
}

// get asks the server for path on a connection of its own.
func (s *site) get(path string) answer {
	s.Helper()
	a, err := s.tryGet(path)
	s.must(err)
	return a
}

func (s *site) tryGet(path string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	c, err := s.machine.DialContext(ctx, "tcp", address)
	if err != nil {
		return a, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path); err != nil {
		return a, err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return a, err
	}
	return parseAnswer(string(body))
}

func parseAnswer(line string) (a answer, err error) {
	words := strings.SplitN(strings.TrimSpace(line), " ", 4)
	if len(words) == 4 {
		a.rest = words[3]
	}
	if _, err := fmt.Sscanf(line, "version=%s generation=%d pid=%d", &a.version, &a.generation, &a.pid); err != nil {
		return a, fmt.Errorf("answer %q: %w", line, err)
	}
	return a, nil
}

// The load of the stories: idle enough for two cores, busy enough that anything
// lost by an upgrade shows.
var (
	kept   = load.Class{Name: "kept", Rate: 400, Conns: 32, Body: []byte("kept")}
	fresh  = load.Class{Name: "new", Rate: 250, Body: []byte("new")}
	slow   = load.Class{Name: "slow", Rate: 8, Path: "/sleep?d=2s"}
	normal = []load.Class{kept, fresh, slow}
)

func (s *site) load(classes ...load.Class) *load.Run {
	return load.Start(s.ctx, load.Config{Addr: address, Dial: s.machine.DialContext, Classes: classes})
}

// pass lets the load go on for n requests of a client of its own.
func (s *site) pass(n int) {
	s.Helper()
	one := load.Class{Name: "pace", Rate: 100, Count: n, Conns: 1}
	<-load.Start(s.ctx, load.Config{Addr: address, Dial: s.machine.DialContext, Classes: []load.Class{one}}).Done()
}

// nothingLost ends run and fails the test if a request was lost.
func (s *site) nothingLost(run *load.Run) load.Report {
	s.Helper()
	r := run.Stop()
	total := r.Total()
	if total.Failed() > 0 || total.Abandoned > 0 || total.Answered == 0 {
		s.Errorf("%d of %d requests failed, %d abandoned", total.Failed(), total.Sent, total.Abandoned)
	}
	s.Logf("\n%v", r)
	return r
}
