package remetrics

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/cutover-go/cutover/reexec"
)

// successor returns the metrics of the next process, which gets the saved state of m.
func successor(t *testing.T, m *Metrics, generation int) *Metrics {
	t.Helper()
	state, err := m.saved()
	if err != nil {
		t.Fatal(err)
	}
	next := New()
	if err := next.restore(generation, state); err != nil {
		t.Fatal(err)
	}
	return next
}

func event(kind string, at time.Duration, err error) reexec.Event {
	return reexec.Event{Kind: kind, Time: time.Unix(1000, 0).Add(at), Since: 2 * time.Millisecond, Err: err}
}

func expect(t *testing.T, m *Metrics, want string, names ...string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestTheLastGoodProgramShowsItself(t *testing.T) {
	m := New()
	want := `
# HELP cutover_last_good_program 1 if the last good program serves, because the program on disk failed before it was proven.
# TYPE cutover_last_good_program gauge
cutover_last_good_program `
	expect(t, m, want+"0\n", "cutover_last_good_program")
	m.Observe(event("last-good", 0, errors.New("myapp failed before it was proven")))
	m.Observe(event("undone", time.Second, errors.New("no")))
	expect(t, m, want+"1\n", "cutover_last_good_program")
	expect(t, successor(t, m, 2), want+"0\n", "cutover_last_good_program")
}

func TestCountersSurviveAnUpgrade(t *testing.T) {
	first := New()
	first.Observe(event("started", 0, nil))
	first.Observe(event("undone", time.Second, &reexec.UpgradeError{Phase: "trial", Err: errors.New("no")}))
	first.Observe(event("started", 10*time.Second, nil))
	second := successor(t, first, 2)
	second.Observe(event("adopted", 10*time.Second+38*time.Millisecond, nil))
	expect(t, second, `
# HELP cutover_last_upgrade_failed 1 if the last upgrade was undone.
# TYPE cutover_last_upgrade_failed gauge
cutover_last_upgrade_failed 0
# HELP cutover_last_upgrade_undone_timestamp_seconds Time of the last undone upgrade, 0 if there was none.
# TYPE cutover_last_upgrade_undone_timestamp_seconds gauge
cutover_last_upgrade_undone_timestamp_seconds 1001
# HELP cutover_upgrades_total Upgrades that have ended.
# TYPE cutover_upgrades_total counter
cutover_upgrades_total{phase="commit",result="success"} 1
cutover_upgrades_total{phase="commit",result="undone"} 0
cutover_upgrades_total{phase="start",result="undone"} 0
cutover_upgrades_total{phase="switch",result="undone"} 0
cutover_upgrades_total{phase="trial",result="undone"} 1
`, "cutover_upgrades_total", "cutover_last_upgrade_failed", "cutover_last_upgrade_undone_timestamp_seconds")
	// The upgrade began in the first process: 2 ms before its event.
	if d := second.counts.Durations[success]; d.Count != 1 || d.Sum != 0.04 || d.Buckets["0.025"] != 0 || d.Buckets["0.05"] != 1 {
		t.Errorf("duration of the upgrade: %+v", d)
	}
}

func TestCountersBeginAtZeroInAProcessOfSystemd(t *testing.T) {
	m := New()
	m.Observe(event("undone", 0, errors.New("no")))
	restarted := successor(t, m, 1)
	if n := restarted.counts.Upgrades["undone start"]; n != 0 || restarted.counts.Failed {
		t.Errorf("after a restart %d upgrades were undone, want 0: rate() would count them again", n)
	}
}

func TestStateOfAnotherVersionIsDropped(t *testing.T) {
	for _, state := range []reexec.State{{Version: 9, Data: []byte(`{}`)}, {Version: 1, Data: []byte(`[`)}} {
		m := New()
		if err := m.restore(2, state); err != nil {
			t.Errorf("restore: %v, want nil: an upgrade does not fail because of metrics", err)
		}
		m.Observe(event("adopted", 0, nil)) // does not panic
	}
	m := New()
	if err := m.restore(2, reexec.State{Version: 1, Data: []byte(`{"new":1,"upgrades":{"success commit":7}}`)}); err != nil || m.counts.Upgrades["success commit"] != 7 {
		t.Errorf("%v, %v", err, m.counts.Upgrades)
	}
}

// accepts returns its connections, one after the other.
type accepts struct {
	net.Listener
	conns []net.Conn
}

func (a *accepts) Accept() (net.Conn, error) {
	if len(a.conns) == 0 {
		return nil, net.ErrClosed
	}
	c := a.conns[0]
	a.conns = a.conns[1:]
	return c, nil
}

func (a *accepts) Name() string { return "http" }

func TestMovedConnectionsAreCountedApart(t *testing.T) {
	m := New()
	ln := m.Count("web", &accepts{conns: []net.Conn{&net.TCPConn{}, &reexec.Moved{}, &reexec.Moved{}}})
	for {
		if _, err := ln.Accept(); err != nil {
			break
		}
	}
	if name := ln.(interface{ Name() string }).Name(); name != "http" {
		t.Errorf("the counted listener is called %q, want the name of the listener, by which connections move", name)
	}
	expect(t, m, `
# HELP cutover_connections_total Connections that Accept has returned.
# TYPE cutover_connections_total counter
cutover_connections_total{listener="web",origin="client"} 1
cutover_connections_total{listener="web",origin="generation"} 2
`, "cutover_connections_total")
}

func TestMetricsPassTheLinter(t *testing.T) {
	problems, err := testutil.CollectAndLint(New())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
