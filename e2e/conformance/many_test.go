package conformance_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/matrix"
)

// many is how many descriptors one store has to keep: more than four messages carry.
const many = 1200

// roomForMany lets that many through: without LimitNOFILE= the next start fails.
var roomForMany = []string{"FileDescriptorStoreMax=4096", "LimitNOFILE=8192", "TimeoutStartSec=2min"}

// manyScenarios are about a store that is full.
func manyScenarios() []scenario {
	return []scenario{
		{name: "every file of a large store comes back under its own name", play: func(s *scene) {
			n := many
			if versions := matrix.Versions(); s.fake() || s.Version() < versions[len(versions)-1] {
				n /= 2 // systemd compares each with all that it has: a quarter of the time
			}
			s.install(roomForMany...)
			s.start().Do("many", strconv.Itoa(n))
			s.shows("NFileDescriptorStore=" + strconv.Itoa(n))
			s.must(s.DaemonReload(s.ctx))
			p := s.restart()
			if len(p.Raw) != n || len(p.Passed) != n {
				s.Errorf("%d came back, %d by package activation; want %d", len(p.Raw), len(p.Passed), n)
			}
			if good := p.Do("check", strconv.Itoa(n)); good != strconv.Itoa(n) {
				s.Errorf("%s have what their name says, want %d", good, n)
			}
		}},
		{name: "500 listeners under 20 names come back in their order", play: func(s *scene) {
			s.install(append(roomForMany, "ExecStart=", "ExecStart=PROBE upgrader")...)
			var names []string
			for i := range 20 {
				names = append(names, fmt.Sprint("pool", i))
			}
			first := s.listeners(s.Start, 25, names...)
			s.shows("NFileDescriptorStore=500")
			s.must(s.DaemonReload(s.ctx))
			if again := s.listeners(s.Restart, 25, names...); again != first {
				s.Errorf("after a restart:\n%.300s ... want\n%.300s ...", again, first)
			}
			if n := strings.Count(first, " "); n != 500 {
				s.Errorf("%d listeners, want 500", n)
			}
		}},
	}
}

// BenchmarkStore measures what one descriptor costs when 1200 of them go into the
// fd store and come out again.
func BenchmarkStore(b *testing.B) {
	b.Run("fake", func(b *testing.B) { benchmarkStore(b, newFake(b, 252)) })
	b.Run("systemd", func(b *testing.B) {
		root := selected.Root(b)
		sub := newReal(b, root)
		b.Logf("systemd %d", sub.Version())
		benchmarkStore(b, sub)
	})
}

func benchmarkStore(b *testing.B, sub *subject) {
	s := newScene(b, sub)
	s.install(append(roomForMany, "[Unit]", "StartLimitIntervalSec=0")...)
	var storing, taking int
	for b.Loop() {
		took, err := strconv.Atoi(s.start().Do("many", strconv.Itoa(many)))
		s.must(err)
		storing += took
		taking += int(s.restart().TakeTime)
		s.must(s.Stop(s.ctx, s.service())) // which empties the store
	}
	b.ReportMetric(0, "ns/op") // the service's start and stop are not the point
	b.ReportMetric(float64(storing)/float64(b.N)/many, "ns/stored")
	b.ReportMetric(float64(taking)/float64(b.N)/many, "ns/taken")
}
