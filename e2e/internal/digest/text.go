package digest

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict tells the result in one line.
func (d *Digest) Verdict() string {
	text := ""
	switch {
	case d.Failed > 0:
		text = fmt.Sprintf("%d of %s failed; ", d.Failed, plural(d.Stories, "story", "stories"))
	case d.Stories > 0:
		text = plural(d.Stories, "story", "stories") + " passed; "
	}
	text += fmt.Sprintf("%s of %s requests lost in %s", Count(d.Unexcused()), Count(d.Requests), plural(d.Upgrades, "upgrade", "upgrades"))
	if d.Undone > 0 {
		text += fmt.Sprintf(", %d refused", d.Undone)
	}
	if d.Kills > 0 {
		text += fmt.Sprintf("; %s cost %s", plural(d.Kills, "kill", "kills"), Count(d.Killed))
	}
	return text
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + more
}

// String is the summary for a terminal.
func (d *Digest) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, d.Verdict())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\trequests\tlost\tp50\tp99\tp99.9\tmax\tupgrading: p50\tp99\tp99.9\tmax\t")
	for _, l := range append(d.Loads, d.All) {
		fmt.Fprintf(t, "%s\t%s\t%s\t", l.Name, Count(l.Requests), Count(l.Lost))
		for _, s := range []Latency{l.Steady, l.During} {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t", Short(s.P50), Short(s.P99), Short(s.P999), Short(s.Max))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // a strings.Builder takes all
	for _, f := range d.Failures {
		fmt.Fprintf(&b, "lost: %s %s, first: %s\n", Count(f.Count), f.Kind, f.First)
	}
	return b.String()
}

// Short writes d with two figures or so.
func Short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 100*time.Microsecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Count writes n with its thousands apart.
func Count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", Count(n/1000), n%1000)
}
