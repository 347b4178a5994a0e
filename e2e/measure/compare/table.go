package compare

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A row is the runs of one way.
type row struct {
	way
	runs []figures
}

// A table holds all measurements.
type table struct {
	plan
	manager string
	rows    []row
	absent  []string
}

// broken reports whether a way that must lose nothing has lost a request.
func (t table) broken() bool {
	for _, r := range t.rows {
		for _, f := range r.runs {
			if r.always && f.lost() > 0 {
				return true
			}
		}
	}
	return false
}

const heading = "| way | runs | requests | refused | cut | timed out | other | to the new version | p99 | p99.9 | p99.9 without | memory | flood: lost | bad version: lost | reported | slow start: lost | longest | queue full |\n" +
	"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|\n"

// write writes the table in Markdown.
func (t table) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ordinary upgrades in a run, %s\n\n%s", t.upgrades, cmp.Or(t.manager, "no new run"), heading)
	for _, r := range t.rows {
		if len(r.runs) == 0 {
			t.absent = append(t.absent, r.name+": no run")
			continue
		}
		b.WriteString("| " + r.name + " | " + strings.Join(r.cells(), " | ") + " |\n")
	}
	fmt.Fprintf(&b, `
runs: the figures are their medians. requests to p99.9: of the ordinary upgrades, each %v from the command on; lost requests by
kind: refused, cut off (reset, or closed before the whole answer), timed out after %v. to the new version: from the command
to the first answer. p99 and p99.9: of answers, from when the request was due, without the ones that take 1 s; p99.9 without:
the same without upgrades. memory: the most of all processes together. flood: an upgrade with %.0f new connections a second.
bad version: the settings have an error, so that the new process exits; the operator repairs them after %[1]v; reported: the
command failed for it. slow start: the new version needs %[4]v before it serves; longest: the longest answer; queue full:
attempts to connect that the kernel dropped because the socket's queue of %d was full. nginx, reload starts no new program.
`, t.window, t.patience, t.plan.flood, t.slow, t.queue)
	for _, r := range t.rows {
		if n := median(each(r.runs, func(f figures) int { return f.Repeated })); n > 0 {
			fmt.Fprintf(&b, "%s: %d of the commands had no effect and were repeated.\n", r.name, n)
		}
	}
	if len(t.absent) > 0 {
		fmt.Fprintf(&b, "\nnot measured: %s\n", strings.Join(t.absent, "; "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r row) cells() []string {
	n := func(f func(figures) int) string { return count(median(each(r.runs, f))) }
	d := func(f func(figures) time.Duration) string { return short(median(each(r.runs, f))) }
	reported := "no"
	if median(each(r.runs, func(f figures) int { return map[bool]int{true: 1}[f.Reported] })) > 0 {
		reported = "yes"
	}
	return []string{
		count(len(r.runs)),
		n(func(f figures) int { return f.Requests }),
		n(func(f figures) int { return f.Refused }), n(func(f figures) int { return f.Cut }),
		n(func(f figures) int { return f.Late }), n(func(f figures) int { return f.Other }),
		d(func(f figures) time.Duration { return f.Took }), d(func(f figures) time.Duration { return f.P99 }),
		d(func(f figures) time.Duration { return f.P999 }), d(func(f figures) time.Duration { return f.Steady }),
		n(func(f figures) int { return int(f.Memory >> 20) }) + " MB",
		n(func(f figures) int { return f.Flood }), n(func(f figures) int { return f.Bad }), reported,
		n(func(f figures) int { return f.Slow }), d(func(f figures) time.Duration { return f.Longest }),
		n(func(f figures) int { return f.Dropped }),
	}
}

func each[T any](runs []figures, f func(figures) T) (values []T) {
	for _, r := range runs {
		values = append(values, f(r))
	}
	return values
}

// short writes d in milliseconds, or in seconds if it is long.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
}

// count writes n with its thousands apart.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
