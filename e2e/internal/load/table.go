package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// String returns the figures as a table, with the answers by version and
// generation and the first failures below it.
func (r Report) String() string {
	var b strings.Builder
	total := r.Total()
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "class\tsent\tanswered\tfailed\tpending\tp50\tp99\tmax\tlate\tdials\tclosed idle\tclosed busy\t")
	for _, s := range append(slices.Clone(r.Classes), total) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t\n", s.Name, s.Sent, s.Answered, s.Failed(), s.Pending,
			short(s.Latency.Quantile(0.50)), short(s.Latency.Quantile(0.99)), short(s.Latency.Max()), short(s.MaxLate),
			s.Dials, s.ClosedIdle+s.ResetIdle, s.ClosedBusy)
	}
	_ = table.Flush() // a strings.Builder takes all
	fmt.Fprintf(&b, "in %v; %s\n", r.Elapsed.Round(time.Millisecond), total.summary())
	for _, f := range total.First {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// summary returns the facts that have no column in the table.
func (s *Stats) summary() string {
	parts := []string{"answers by version: " + counts(s.Versions), "by generation: " + counts(s.Generations)}
	for kind, n := range s.Failures {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%v: %d", Kind(kind), n))
		}
	}
	for _, rare := range []struct {
		name string
		n    int
	}{{"abandoned", s.Abandoned}, {"reset while idle", s.ResetIdle}, {"closed after a last answer", s.ClosedLast},
		{"unsolicited answers", s.Unsolicited},
		{"TLS sessions resumed", s.Resumed}, {"declined by HTTP/2", s.Declined}} {
		if rare.n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", rare.name, rare.n))
		}
	}
	return strings.Join(parts, "; ")
}

func counts(names map[string]int) string {
	if len(names) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, names[name]))
	}
	return strings.Join(parts, ", ")
}

// short rounds d to three figures or so.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(time.Millisecond).String()
	}
}
