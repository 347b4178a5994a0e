package remetrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("cutover_"+name, help, labels, nil)
}

// The descriptions of all metrics. They do not change.
var (
	generationDesc  = describe("generation", "Number of the generation that answers.")
	buildDesc       = describe("build_info", "Build of the program; the value is 1.", "version", "revision", "goversion")
	upgradesDesc    = describe("upgrades_total", "Upgrades that have ended.", "result", "phase")
	durationDesc    = describe("upgrade_duration_seconds", "Time from the start of an upgrade until it was final.", "result")
	failedDesc      = describe("last_upgrade_failed", "1 if the last upgrade was undone.")
	undoneDesc      = describe("last_upgrade_undone_timestamp_seconds", "Time of the last undone upgrade, 0 if there was none.")
	succeededDesc   = describe("last_upgrade_timestamp_seconds", "Time of the last successful upgrade, 0 if there was none.")
	lastGoodDesc    = describe("last_good_program", "1 if the last good program serves, because the program on disk failed before it was proven.")
	drainingDesc    = describe("draining_generations", "Older generations that still drain.")
	heldDesc        = describe("held_connections", "Connections and holds of the generations that still drain.")
	connectionsDesc = describe("connections_total", "Connections that Accept has returned.", "listener", "origin")
)

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{generationDesc, buildDesc, upgradesDesc, durationDesc, failedDesc, undoneDesc,
		succeededDesc, lastGoodDesc, drainingDesc, heldDesc, connectionsDesc} {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. It asks the Upgrader for its status.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	u := m.upgrader
	m.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(buildDesc, 1, build()...)
	if u != nil { // without the lock: a Save, which takes it, may run meanwhile
		report := u.Status()
		gauge(generationDesc, float64(report.Generation))
		gauge(drainingDesc, float64(report.Draining))
		gauge(heldDesc, float64(report.Held))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	gauge(lastGoodDesc, flag(m.lastGood))
	m.counts.collect(to, gauge)
}

// flag returns 1 for true.
func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *counts) collect(to chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(failedDesc, flag(c.Failed))
	gauge(undoneDesc, seconds(c.Undone))
	gauge(succeededDesc, seconds(c.Succeeded))
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, key := range sortedKeys(c.known()) {
		result, phase, _ := strings.Cut(key, " ")
		counter(upgradesDesc, c.Upgrades[key], result, phase)
	}
	for _, result := range []string{success, undone} {
		to <- c.Durations[result].metric(result)
	}
	for _, listener := range sortedKeys(c.Connections) {
		for _, origin := range sortedKeys(c.Connections[listener]) {
			counter(connectionsDesc, c.Connections[listener][origin], listener, origin)
		}
	}
}

// known returns the upgrades with a 0 for each result that has not happened: increase() sees
// the first failure only if the counter was there before.
func (c *counts) known() map[string]uint64 {
	all := map[string]uint64{success + " commit": 0}
	for _, phase := range []string{"start", "switch", "trial", "commit"} {
		all[undone+" "+phase] = 0
	}
	for key, n := range c.Upgrades {
		all[key] = n
	}
	return all
}

func (d *durations) metric(result string) prometheus.Metric {
	buckets := map[float64]uint64{}
	for _, bound := range bounds {
		buckets[bound] = 0
	}
	if d == nil {
		return prometheus.MustNewConstHistogram(durationDesc, 0, 0, buckets, result)
	}
	for bound := range buckets {
		buckets[bound] = d.Buckets[fmt.Sprint(bound)]
	}
	return prometheus.MustNewConstHistogram(durationDesc, d.Count, d.Sum, buckets, result)
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
