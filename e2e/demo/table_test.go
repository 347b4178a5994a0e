package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// sample is an interval of load: 300 quick requests and 2 slow ones, one of each lost.
func sample() load.Report {
	quick := load.Stats{Name: "new connections", Answered: 299}
	quick.Failures[load.Reset] = 1
	for range 299 {
		quick.Latency.Add(time.Millisecond)
	}
	slow := load.Stats{Name: slowClass, Answered: 1, MaxLate: 3 * time.Millisecond}
	slow.Failures[load.NoAnswer] = 1
	slow.Latency.Add(2 * time.Second)
	return load.Report{Classes: []load.Stats{quick, slow}}
}

func TestTableColumnsAreAligned(t *testing.T) {
	v1, v2 := answer{"v1", 9, 12345}, answer{"v2", 10, 12399}
	tab := newTable(v1.pid)
	got := tab.titles() +
		tab.before(v1) + tab.figures(sample()) +
		tab.upgrade(v1, v2, 71*time.Millisecond) + tab.figures(sample())
	want := "" +
		"  version  gen  main process    serving  requests  lost     p50     p99     max\n" +
		"  v1         9  12345                 -       302     2  1.0 ms  1.0 ms  1.0 ms\n" +
		"  v2        10  12345 -> 12399    71 ms       302     2  1.0 ms  1.0 ms  1.0 ms\n"
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestEverythingFitsTheScreen(t *testing.T) {
	o := fine()
	o.upgrading.answered, o.refusing.answered, o.crash.others, o.unreachable = 99999, 9999, 99, 9999
	text := newTable(99999).titles() + tableNotes + classTable(sample()) + o.String() + item("meanwhile", inOneLine(sample()))
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > screenWidth || strings.TrimRight(line, " ") != line {
			t.Errorf("%d columns, or blanks at the end: %q", len(line), line)
		}
	}
}

func TestClassTableHasALineForEachClass(t *testing.T) {
	got := classTable(sample())
	for _, want := range []string{
		"  new connections        299       1  1.0 ms  1.0 ms  1.0 ms\n",
		"  2 s requests             1       1   2.0 s   2.0 s   2.0 s\n",
		"3.0 ms late",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestShortDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0.0 ms",
		949 * time.Microsecond:  "0.9 ms",
		9949 * time.Microsecond: "9.9 ms",
		9950 * time.Microsecond: "10 ms",
		999 * time.Millisecond:  "999 ms",
		time.Second:             "1.0 s",
		9949 * time.Millisecond: "9.9 s",
		10 * time.Second:        "10 s",
		75 * time.Second:        "75 s",
	} {
		if got := short(d); got != want || len(got) > 6 {
			t.Errorf("short(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCountSetsThousandsApart(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12034: "12,034", 1000001: "1,000,001"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
