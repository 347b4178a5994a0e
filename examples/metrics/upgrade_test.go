//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/examples/internal/supervised"
	"github.com/cutover-go/cutover/internal/needs"
)

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) { supervised.Main(m, main) }

// A site is the server with its units, supervised as systemd would.
type site struct {
	*supervised.Service
	http, metrics string // addresses
	greeting      string // a file without which the program does not start
}

func newSite(t *testing.T) *site {
	t.Helper()
	greeting := filepath.Join(t.TempDir(), "greeting")
	write(t, greeting, "hello")
	s := supervised.New(t, daemon(), "-greeting", greeting)
	return &site{s, s.Address("cutover-metrics-http.socket"), s.Address("cutover-metrics-metrics.socket"), greeting}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *site) get(url string) string {
	s.Helper()
	answer, err := http.Get(url)
	s.Must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	s.Must(err)
	return string(text)
}

// metric returns the value of a line of /metrics.
func (s *site) metric(name string) (value string) {
	s.Helper()
	text := s.get("http://" + s.metrics + "/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (.*)$`).FindStringSubmatch(text)
	if m == nil {
		s.Fatalf("no %s in\n%s", name, text)
	}
	return m[1]
}

// fail makes an upgrade that is undone: the greeting is missing meanwhile.
func (s *site) fail() {
	s.Helper()
	s.Must(os.Remove(s.greeting))
	if err := s.Reload(s.Ctx, s.Unit); err == nil {
		s.Error("the reload of a program that does not start succeeded")
	}
	write(s.TB, s.greeting, "hello")
}

// awaitEnd waits until the process has ended.
func (s *site) awaitEnd(pid string) {
	s.Helper()
	for {
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return
		}
		select {
		case <-s.Ctx.Done():
			s.Fatalf("process %s does not end", pid)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

const (
	succeeded = `cutover_upgrades_total{phase="commit",result="success"}`
	undone    = `cutover_upgrades_total{phase="start",result="undone"}`
)

func TestCountersOutliveUpgrades(t *testing.T) {
	s := newSite(t)
	for range 2 {
		s.get("http://" + s.http) // on a connection that moves
		old, err := s.Show(s.Ctx, s.Unit, "MainPID")
		s.Must(err)
		s.Must(s.Reload(s.Ctx, s.Unit))
		s.awaitEnd(old) // the connection has moved
	}
	s.fail()
	s.Must(s.Reload(s.Ctx, s.Unit))
	s.get("http://" + s.http)
	for name, want := range map[string]string{
		succeeded: "3", undone: "1", "cutover_generation": "4", "cutover_last_upgrade_failed": "0",
		`cutover_upgrade_duration_seconds_count{result="success"}`:       "3",
		`cutover_connections_total{listener="http",origin="generation"}`: "2",
		`cutover_connections_total{listener="http",origin="client"}`:     "1",
	} {
		for s.metric(name) != want { // the event of an upgrade comes after the answer of the reload
			select {
			case <-s.Ctx.Done():
				t.Fatalf("%s is %s, want %s", name, s.metric(name), want)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	s.Must(s.Restart(s.Ctx, s.Unit))
	if got := s.metric(succeeded); got != "0" {
		t.Errorf("after a restart %s is %s, want 0", succeeded, got)
	}
}

// TestPrometheusSeesNoReset has Prometheus scrape through ten upgrades and a failed one, with
// the rules of alerts.yml and the queries of dashboard.json.
func TestPrometheusSeesNoReset(t *testing.T) {
	needs.Program(t, "prometheus")
	s := newSite(t)
	p := startPrometheus(s)
	for i := range 10 {
		s.get("http://" + s.http)
		p.await(fmt.Sprintf(`cutover_generation == %d`, i+1))
		if i == 5 {
			s.fail()
			p.await(`ALERTS{alertname="UpgradeUndone",alertstate="firing"}`)
		}
		s.Must(s.Reload(s.Ctx, s.Unit))
	}
	p.await(succeeded + ` == 10`)
	p.await(`absent(ALERTS{alertname="UpgradeUndone",alertstate="firing"})`)
	for _, holds := range []string{
		`sum(resets(cutover_upgrades_total[10m])) == 0`,
		`sum(resets(cutover_upgrade_duration_seconds_count[10m])) == 0`,
		`sum(resets(cutover_connections_total[10m])) == 0`,
		undone + ` == 1`,
	} {
		if !p.holds(holds) {
			t.Errorf("%s does not hold: %s", holds, p.query(holds[:strings.LastIndex(holds, "==")]))
		}
	}
	p.answersDashboard()
	for _, line := range p.lostScrapes() {
		t.Errorf("a scrape was lost: %s", line)
	}
}

// answersDashboard asks for the queries of dashboard.json.
func (p *watcher) answersDashboard() {
	p.Helper()
	text, err := os.ReadFile("dashboard.json")
	p.Must(err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	p.Must(json.Unmarshal(text, &dashboard))
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			query := strings.ReplaceAll(target.Expr, "$job", ".*")
			if !p.holds(query) {
				p.Errorf("panel %q: %s has the result %s", panel.Title, query, p.query(query))
			}
		}
	}
	if len(dashboard.Panels) < 5 {
		p.Errorf("dashboard.json has %d panels", len(dashboard.Panels))
	}
}

// A watcher is a Prometheus that scrapes a site.
type watcher struct {
	*site
	address string
	log     string // of what it does
	end     func() // ends it
}

func startPrometheus(s *site) *watcher {
	s.Helper()
	dir := s.TempDir()
	rules, err := filepath.Abs("alerts.yml")
	s.Must(err)
	write(s.TB, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 200ms}\n"+
		"rule_files: [%q]\nscrape_configs: [{job_name: example, static_configs: [{targets: [%q]}]}]\n", rules, s.metrics))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	s.Must(err)
	p := &watcher{site: s, address: free.Addr().String(), log: filepath.Join(dir, "log")}
	s.Must(free.Close())
	cmd := exec.Command("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+p.address, "--log.level=debug")
	cmd.Dir = dir
	log, err := os.Create(p.log)
	s.Must(err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	s.Must(cmd.Start())
	p.end = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	s.Cleanup(func() {
		p.end()
		if text, err := os.ReadFile(p.log); s.Failed() {
			s.TB.Logf("%s (%v)", text, err)
		}
	})
	return p
}

// lostScrapes ends Prometheus and returns the lines of its log about scrapes that failed. A scrape that
// a busy machine answers too late is none of them.
func (p *watcher) lostScrapes() (lost []string) {
	p.Helper()
	p.end()
	text, err := os.ReadFile(p.log)
	p.Must(err)
	for line := range strings.Lines(string(text)) {
		late := strings.Contains(line, "context deadline exceeded") || strings.Contains(line, "i/o timeout")
		if strings.Contains(line, `msg="Scrape failed"`) && !late {
			lost = append(lost, line)
		}
	}
	return lost
}

// query returns the result of a query as JSON, "" while Prometheus does not answer.
func (p *watcher) query(text string) string {
	answer, err := http.Get("http://" + p.address + "/api/v1/query?query=" + url.QueryEscape(text))
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	var found struct {
		Data struct{ Result json.RawMessage }
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return err.Error()
	}
	return string(found.Data.Result)
}

// holds reports whether a query has a result.
func (p *watcher) holds(text string) bool { return strings.HasPrefix(p.query(text), `[{`) }

// await waits until a query has a result.
func (p *watcher) await(text string) {
	p.Helper()
	for !p.holds(text) {
		select {
		case <-p.Ctx.Done():
			p.Fatalf("%s does not hold: %s", text, p.query(text))
		case <-time.After(50 * time.Millisecond): // between two scrapes
		}
	}
}

func TestAlertsAreRules(t *testing.T) {
	if out, err := exec.Command(needs.Program(t, "promtool"), "check", "rules", "alerts.yml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDashboardAsksForMetricsThatExist looks up each cutover_ name of the dashboard and of the
// alerts in a scrape.
func TestDashboardAsksForMetricsThatExist(t *testing.T) {
	s := newSite(t)
	s.get("http://" + s.http)
	scrape := s.get("http://" + s.metrics + "/metrics")
	for _, file := range []string{"dashboard.json", "alerts.yml"} {
		text, err := os.ReadFile(file)
		s.Must(err)
		if file == "dashboard.json" && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
		for _, name := range regexp.MustCompile(`cutover_\w+`).FindAllString(string(text), -1) {
			if !strings.Contains(scrape, "\n"+name) {
				t.Errorf("%s asks for %s, which is no metric", file, name)
			}
		}
	}
}
