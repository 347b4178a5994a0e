package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

const (
	chaosOrdersPath  = "/etc/cutover-chaos/orders"
	chaosCertificate = "/etc/cutover-chaos/certificate.pem"
	chaosReady       = 10 * time.Second
	chaosDrain       = 12 * time.Second
)

// What lies at the path of the program instead of an order.
const (
	brokenFile    = "is a broken file"
	emptyFile     = "is an empty file"
	otherProtocol = "speaks another protocol version"
)

// chaosUnit adds to the units of the example. The manager restarts the service however
// it ends, so that each step leaves a service behind.
const chaosUnit = `[Service]
Restart=always
StateDirectory=cutover-chaos
TimeoutStopSec=40s
`

// chaosSite is the service under the steps, its load, and all that is known of both.
type chaosSite struct {
	*faultSite
	program  string
	state    string // the state directory, as seen from outside
	clients  *chaosClients
	excuses  *excuses
	ledger   *chaosLedger
	report   *chaosReport
	failures *chaosFailureList
}

// chaosOrders are orders for the program testdata/chaos. They say how the successor begins
// and ends.
type chaosOrders struct {
	How   string
	Wait  time.Duration
	Trial time.Duration
}

func (o chaosOrders) String() string {
	return fmt.Sprintf("after %v, next trial %v", o.Wait, o.Trial)
}

func newChaosSite(t *testing.T, seed uint64) *chaosSite {
	t.Helper()
	s := newSiteFor(t, *chaosTime+chaosEnd)
	init, err := s.machine.HostPID(1)
	s.must(err)
	root := fmt.Sprintf("/proc/%d/root", init)
	c := &chaosSite{
		faultSite: &faultSite{site: s, root: root},
		program:   program(t, "./testdata/chaos", "v1"),
		state:     root + "/var/lib/private/cutover-chaos",
		excuses:   new(excuses),
		failures:  new(chaosFailureList),
		report:    newChaosReport(seed),
	}
	c.ledger = newChaosLedger(c.state + "/ledger")
	c.excuses.executor = func(id string) string { return c.ledger.by[id] }
	text, roots := certificate(t)
	c.must(s.machine.WriteFile(chaosCertificate, text, 0o644))
	c.order(chaosOrders{})
	c.install(unitName+".d/chaos.conf", chaosUnit)
	c.ownReload(c.program)
	c.start(c.program, "-orders", chaosOrdersPath, "-certificate", chaosCertificate,
		"-ready", chaosReady.String(), "-drain", chaosDrain.String())
	c.settle()
	c.orders = c.state // there witness is asked for
	done := make(chan struct{})
	c.Cleanup(func() { <-done })
	names := c.watch()
	go func() { // ends with names; the cleanup waits
		defer close(done)
		c.witness(names)
	}()
	c.clients = c.startClients(roots)
	return c
}

// order tells the next process how to begin and end.
func (c *chaosSite) order(o chaosOrders) {
	c.Helper()
	text, err := json.Marshal(o)
	c.must(err)
	c.must(c.machine.WriteFile(chaosOrdersPath, text, 0o644))
}

// prepare makes the next successor what o says, be it by the file of the program.
func (c *chaosSite) prepare(o chaosOrders) {
	c.Helper()
	switch o.How {
	case brokenFile:
		c.must(c.machine.WriteFile(binaryPath, []byte("\x7fELF and no more"), 0o755))
	case emptyFile:
		c.must(c.machine.WriteFile(binaryPath, nil, 0o755))
	case otherProtocol:
		c.deploy(version1(c.TB, "-speaks2"))
	}
	c.order(o)
}

// mend makes the next process one that serves and gives its successor this trial.
func (c *chaosSite) mend(trial time.Duration) {
	c.Helper()
	c.deploy(c.program)
	c.order(chaosOrders{Trial: trial})
}

// about describes the serving process, and the trial of its successor.
type about struct {
	answer
	trial time.Duration
}

func (a about) String() string {
	return fmt.Sprintf("process %d of generation %d", a.pid, a.generation)
}

func (c *chaosSite) tryAbout() (a about, err error) {
	if a.answer, err = c.tryGet("/about"); err != nil {
		return a, err
	}
	text, _ := strings.CutPrefix(a.rest, "trial=")
	a.trial, err = time.ParseDuration(text)
	return a, err
}

// take takes a step, and checks the guarantees after it.
func (c *chaosSite) take(s chaosStep) {
	c.Helper()
	c.report.begin(s.name)
	result := s.run(c)
	c.mend(0)
	c.report.result(result)
	c.checkRequests()
}

// end waits for the last answers and checks all of it once more.
func (c *chaosSite) end() {
	c.Helper()
	c.report.begin("end")
	c.clients.stop()
	c.report.result(c.rest())
	c.checkRequests()
	if c.clients.answered() == 0 {
		c.violate("no request was answered")
	}
	c.summarize()
}

// summarize logs the steps and all counts.
func (c *chaosSite) summarize() {
	c.Helper()
	c.Logf("%v", c.report)
	c.Logf("excused requests:\n%v", c.excuses)
	if c.clients != nil {
		c.Logf("%v\n%v", c.clients, c.ledger)
	}
}

// giveUp ends the test where nothing serves that could take another step.
func (c *chaosSite) giveUp() {
	c.Helper()
	c.summarize()
	c.FailNow()
}

// violate records a broken guarantee, and says after which steps.
func (c *chaosSite) violate(format string, args ...any) {
	c.Helper()
	c.report.violations++
	c.Errorf("%s\n%s", fmt.Sprintf(format, args...), c.report.last(12))
}

// checkRequests holds failed requests against the excuses, and the ledger against what
// a server may execute.
func (c *chaosSite) checkRequests() {
	c.Helper()
	twice, err := c.ledger.read()
	if err != nil {
		c.violate("the ledger of executed requests: %v", err)
	} else if len(twice) > 0 {
		c.violate("requests were executed twice: %v", twice)
	}
	var lost []load.Failure
	for _, f := range c.failures.take() {
		if !c.excuses.cover(f) {
			lost = append(lost, f)
		}
	}
	if len(lost) > 0 {
		var lines []string
		for _, f := range lost[:min(12, len(lost))] {
			lines = append(lines, f.String())
		}
		c.violate("%d requests failed without an excuse:\n%s", len(lost), strings.Join(lines, "\n"))
	}
}

// hostOf returns the number by which the host knows pid, 0 if it has ended.
func (c *chaosSite) hostOf(pid int) int {
	host, err := c.machine.HostPID(pid)
	if err != nil {
		return 0
	}
	return host
}

var threadsLine = regexp.MustCompile(`(?m)^Threads:\s+(\d+)$`)

// size returns how many descriptors and threads the process pid has.
func (c *chaosSite) size(pid int) (descriptors, threads int) {
	c.Helper()
	host := c.hostOf(pid)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", host))
	c.must(err)
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(host), "status"))
	c.must(err)
	if m := threadsLine.FindSubmatch(status); m != nil {
		threads, _ = strconv.Atoi(string(m[1])) // digits
	}
	return len(entries), threads
}
