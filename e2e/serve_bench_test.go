package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	callers     = 8                      // each with a connection, and the next request when the last is answered
	roundLength = 250 * time.Millisecond // of one server, then it is the other one's turn
)

// BenchmarkServe has the same clients ask two servers in turns, each a process of its
// own with the same handler: one of net/http alone, one of rehttp. A round of each is
// an op. It says how rehttp's compare: throughput, p99, the processor time that the
// server itself takes for a request, and how many objects it allocates.
//
//	go test -run '^$' -bench Serve -benchtime 100x ./e2e
func BenchmarkServe(b *testing.B) {
	web := program(b, "./testdata/web", "v1")
	servers := []*measured{measure(b, web, "-bare"), measure(b, web)}
	for _, m := range servers {
		m.round(b) // to warm up
		m.begin(b)
	}
	for i := 0; b.Loop(); i++ {
		servers[i%2].round(b)
		servers[(i+1)%2].round(b)
	}
	for _, m := range servers {
		m.end(b)
	}
	bare, ours := servers[0], servers[1]
	b.ReportMetric(0, "ns/op") // says nothing
	b.ReportMetric(float64(bare.requests)/bare.took.Seconds(), "bare-req/s")
	b.ReportMetric(median(ours.rates)/median(bare.rates), "throughput-ratio")
	b.ReportMetric(median(ours.p99s)/median(bare.p99s), "p99-ratio")
	b.ReportMetric(ours.cpuEach()/bare.cpuEach(), "cpu-ratio")
	b.ReportMetric(bare.mallocsEach(), "bare-allocs/req")
	b.ReportMetric(ours.mallocsEach(), "ours-allocs/req")
}

// measured is a server with the figures of its rounds.
type measured struct {
	*alone
	conns []net.Conn

	requests int
	took     time.Duration
	rates    []float64 // requests a second, by round
	p99s     []float64 // seconds, by round
	mallocs  int
	cpu      time.Duration
}

func measure(b *testing.B, program string, args ...string) *measured {
	b.Helper()
	m := &measured{alone: newAlone(b, program, args...)}
	for range callers {
		c, err := m.dial(m.ctx, "tcp", m.address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		m.conns = append(m.conns, c)
	}
	return m
}

// begin forgets the rounds so far.
func (m *measured) begin(b *testing.B) {
	b.Helper()
	*m = measured{alone: m.alone, conns: m.conns, mallocs: -m.mallocsNow(b), cpu: -m.cpuNow(b)}
}

func (m *measured) end(b *testing.B) {
	b.Helper()
	m.cpu += m.cpuNow(b)
	m.mallocs += m.mallocsNow(b)
}

func (m *measured) mallocsEach() float64 { return float64(m.mallocs) / float64(m.requests) }
func (m *measured) cpuEach() float64     { return m.cpu.Seconds() / float64(m.requests) }

// round has all clients ask for a while.
func (m *measured) round(b *testing.B) {
	b.Helper()
	began := time.Now()
	results := make([][]time.Duration, len(m.conns))
	failed := make([]error, len(m.conns))
	var all sync.WaitGroup
	for i, c := range m.conns {
		all.Go(func() { failed[i] = askOnAndOn(c, began.Add(roundLength), &results[i]) })
	}
	all.Wait()
	took := time.Since(began)
	if err := errors.Join(failed...); err != nil {
		b.Fatal(err)
	}
	latencies := slices.Concat(results...)
	slices.Sort(latencies)
	m.requests += len(latencies)
	m.took += took
	m.rates = append(m.rates, float64(len(latencies))/took.Seconds())
	m.p99s = append(m.p99s, latencies[len(latencies)*99/100].Seconds())
}

func askOnAndOn(c net.Conn, end time.Time, latencies *[]time.Duration) error {
	br := bufio.NewReader(c)
	for now := time.Now(); now.Before(end); {
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
			return err
		}
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", r.Status)
		}
		then := now
		now = time.Now()
		*latencies = append(*latencies, now.Sub(then))
	}
	return nil
}

var mallocsSaid = regexp.MustCompile(`mallocs=(\d+)`)

// mallocsNow is how many objects the server has allocated so far.
func (m *measured) mallocsNow(b *testing.B) int {
	b.Helper()
	said := mallocsSaid.FindStringSubmatch(m.get("/mallocs").rest)
	if said == nil {
		b.Fatal("the server does not say what it has allocated")
	}
	n, err := strconv.Atoi(said[1])
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuNow is how much processor time the server has taken so far.
func (m *measured) cpuNow(b *testing.B) time.Duration {
	b.Helper()
	var clock unix.Timespec
	if err := unix.ClockGettime(int32(^m.pid<<3|2), &clock); err != nil { // CPUCLOCK_SCHED of a process, clock_getcpuclockid(3)
		b.Fatal(err)
	}
	return time.Duration(clock.Nano())
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}
