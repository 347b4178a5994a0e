package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// A table has a line for each upgrade, in two parts: the first when the new program
// serves, the second when the load has gone on for a while.
type table struct{ pids int } // width of a column

// newTable returns a table for processes with ids like pid.
func newTable(pid int) table {
	return table{max(len("main process"), len(pids(pid, pid)))}
}

func pids(from, to int) string { return fmt.Sprintf("%d -> %d", from, to) }

func (t table) first(version, generation, pids, after string) string {
	return fmt.Sprintf("  %-7s  %3s  %-*s  %7s", version, generation, t.pids, pids, after)
}

func (t table) second(requests, lost, p50, p99, longest string) string {
	return fmt.Sprintf("  %8s  %4s  %6s  %6s  %6s\n", requests, lost, p50, p99, longest)
}

func (t table) titles() string {
	return t.first("version", "gen", "main process", "serving") + t.second("requests", "lost", "p50", "p99", "max")
}

const tableNotes = `
  serving: from the call of the reload to an answer by the new program
  p50, p99, max: from when a request was due; without those that take 2 s
`

// before is the first part of the line without an upgrade.
func (t table) before(a answer) string {
	return t.first(a.version, strconv.Itoa(a.generation), strconv.Itoa(a.pid), "-")
}

func (t table) upgrade(from, to answer, after time.Duration) string {
	return t.first(to.version, strconv.Itoa(to.generation), pids(from.pid, to.pid), short(after))
}

func (t table) figures(r load.Report) string {
	var all tally
	all.add(r)
	q := quick(r)
	p50, p99, longest := latencies(q.Latency)
	return t.second(count(all.answered+all.lost), count(all.lost), p50, p99, longest)
}

// inOneLine tells what figures does, outside of a table.
func inOneLine(r load.Report) string {
	var all tally
	all.add(r)
	p50, p99, longest := latencies(quick(r).Latency)
	return fmt.Sprintf("%v; p50 %s, p99 %s, max %s", all, p50, p99, longest)
}

// quick returns the sum of the classes that are not intentionally slow.
func quick(r load.Report) load.Stats {
	r.Classes = slices.DeleteFunc(slices.Clone(r.Classes), func(s load.Stats) bool { return s.Name == slowClass })
	return r.Total()
}

func latencies(h load.Histogram) (p50, p99, longest string) {
	return short(h.Quantile(0.50)), short(h.Quantile(0.99)), short(h.Max())
}

// tooLate is when a client is not to be trusted with times.
const tooLate = 500 * time.Millisecond

// classTable tells the whole run by class.
func classTable(r load.Report) string {
	var b strings.Builder
	line := func(name, answered, lost, p50, p99, longest string) {
		fmt.Fprintf(&b, "  %-16s  %8s  %6s  %6s  %6s  %6s\n", name, answered, lost, p50, p99, longest)
	}
	line("", "answered", "lost", "p50", "p99", "max")
	for _, c := range r.Classes {
		p50, p99, longest := latencies(c.Latency)
		line(c.Name, count(c.Answered), count(c.Failed()+c.Abandoned), p50, p99, longest)
	}
	total := r.Total()
	fmt.Fprintf(&b, "\n  That includes what the kill has cost, and the client itself, which was up to\n"+
		"  %s late with a request.\n", short(total.MaxLate))
	if total.MaxLate > tooLate {
		b.WriteString("  This machine is too busy for the load: the latencies say little.\n")
	}
	b.WriteByte('\n')
	return b.String()
}

// short writes d in six characters or fewer.
func short(d time.Duration) string {
	switch {
	case d < 9950*time.Microsecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// count writes n with its thousands apart.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
