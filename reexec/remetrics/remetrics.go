// Package remetrics exports the upgrades of a program to Prometheus.
//
//	m := remetrics.New()
//	prometheus.MustRegister(m)
//	os.Exit(reexec.Main(reexec.Options{Observe: m.Observe}, m, rehttp.Service("http", ":8080", srv)))
//
// A [Metrics] is a service of the program, see [reexec.Service], because it saves its counters
// for the next generation. A program that calls [reexec.New] by hand calls [Metrics.Listen]
// before Ready.
//
// The counters survive an upgrade as saved state. They begin at 0 in a process that systemd has
// started, also after a crash: the fd store may have older counters than a scrape has seen, and
// rate() would count the difference a second time. So rate() and increase() of each counter are
// right over upgrades, restarts and crashes.
//
// # Metrics
//
//	cutover_generation                                number of the generation that answers
//	cutover_build_info{version,revision,goversion}    1
//	cutover_upgrades_total{result,phase}              result is success or undone; phase is where the upgrade ended
//	cutover_upgrade_duration_seconds{result}          histogram, from the start of the upgrade until it is final
//	cutover_last_upgrade_failed                       1 if the last upgrade was undone, else 0
//	cutover_last_upgrade_undone_timestamp_seconds     0 if none was
//	cutover_last_upgrade_timestamp_seconds            time of the last successful upgrade, 0 if there was none
//	cutover_last_good_program                         1 if the last good program serves, else 0; see reexec.Options.Probation
//	cutover_draining_generations                      older generations that still drain
//	cutover_held_connections                          their connections and holds
//	cutover_connections_total{listener,origin}        connections that Accept of a [Metrics.Count] listener has
//	                                                  returned; origin is client or, for one that moved, generation
//
// The phases are those of [reexec.UpgradeError]. The reason of a failure is not a label, because its
// text has no bound; it is in STATUS=, in the log and in the Event.
package remetrics

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cutover-go/cutover/reexec"
)

// Metrics collects the upgrades of one program. It is a [prometheus.Collector] and a
// [reexec.Service]. Its methods may be called from any goroutine.
type Metrics struct {
	mu       sync.Mutex
	upgrader *reexec.Upgrader // nil before Listen
	lastGood bool             // this process executes the last good program
	counts   counts
}

var (
	_ prometheus.Collector = (*Metrics)(nil)
	_ reexec.Service       = (*Metrics)(nil)
)

// New returns metrics that have counted nothing. Register them once.
func New() *Metrics { return &Metrics{counts: newCounts()} }

// counts is the saved state. A field that another version does not know is ignored there.
type counts struct {
	Upgrades    map[string]uint64            `json:"upgrades"`    // by result and phase
	Durations   map[string]*durations        `json:"durations"`   // by result
	Connections map[string]map[string]uint64 `json:"connections"` // by listener and origin
	Failed      bool                         `json:"failed"`      // whether the last upgrade was undone
	Undone      time.Time                    `json:"undone"`      // time of the last undone upgrade
	Succeeded   time.Time                    `json:"succeeded"`   // time of the last successful upgrade
	Began       time.Time                    `json:"began"`       // start of the upgrade that runs
}

// durations is a histogram.
type durations struct {
	Count   uint64            `json:"count"`
	Sum     float64           `json:"sum"`
	Buckets map[string]uint64 `json:"buckets"` // cumulative, by upper bound
}

// bounds are the upper bounds of the buckets, in seconds.
var bounds = []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// Results of an upgrade.
const (
	success = "success"
	undone  = "undone"
)

func newCounts() counts {
	return counts{Upgrades: map[string]uint64{}, Durations: map[string]*durations{}, Connections: map[string]map[string]uint64{}}
}

func (d *durations) add(span time.Duration) {
	d.Count++
	d.Sum += span.Seconds()
	if d.Buckets == nil {
		d.Buckets = map[string]uint64{}
	}
	for _, bound := range bounds {
		if span.Seconds() <= bound {
			d.Buckets[fmt.Sprint(bound)]++
		}
	}
}

// ended counts an upgrade that has ended at a time.
func (c *counts) ended(result string, phase string, at time.Time, span time.Duration) {
	c.Upgrades[result+" "+phase]++
	if c.Durations[result] == nil {
		c.Durations[result] = &durations{}
	}
	c.Durations[result].add(span)
	c.Began = time.Time{}
	if c.Failed = result == undone; c.Failed {
		c.Undone = at
	} else {
		c.Succeeded = at
	}
}

// saved returns the counts for the next generation.
func (m *Metrics) saved() (reexec.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := json.Marshal(m.counts)
	return reexec.State{Version: stateVersion, Data: data}, err
}

// stateVersion is the version of the encoding. Fields may be added without another one.
const stateVersion = 1

// restore takes over the counts of the predecessor. State that cannot be read is dropped: an
// upgrade does not fail because of metrics.
func (m *Metrics) restore(generation int, s reexec.State) error {
	before := newCounts()
	if generation == 1 || s.Version != stateVersion || json.Unmarshal(s.Data, &before) != nil {
		return nil // started by systemd, or by a program with other metrics
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.counts
	m.counts = before
	for listener, origins := range now.Connections { // counted before Ready
		for origin, n := range origins {
			m.counts.connection(listener, origin, n)
		}
	}
	return nil
}

func (c *counts) connection(listener, origin string, n uint64) {
	if c.Connections[listener] == nil {
		c.Connections[listener] = map[string]uint64{}
	}
	c.Connections[listener][origin] += n
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// build returns the version of the program, its revision, and the version of Go.
func build() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return []string{"", "", ""}
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return []string{info.Main.Version, revision, info.GoVersion}
}
