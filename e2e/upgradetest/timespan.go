//go:build linux

package upgradetest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// forever stands for the timeout "infinity".
const forever = time.Duration(math.MaxInt64)

const (
	day   = 24 * time.Hour
	week  = 7 * day
	year  = 31557600 * time.Second // 365.25 days, systemd.time(7)
	month = year / 12
)

// timeUnits are the units of systemd.time(7), the largest first.
var timeUnits = []struct {
	length time.Duration
	names  []string // the first is the one that is printed
}{
	{year, []string{"y", "year", "years"}},
	{month, []string{"month", "months", "M"}},
	{week, []string{"w", "week", "weeks"}},
	{day, []string{"d", "day", "days"}},
	{time.Hour, []string{"h", "hr", "hour", "hours"}},
	{time.Minute, []string{"min", "minute", "minutes", "m"}},
	{time.Second, []string{"s", "sec", "second", "seconds", ""}},
	{time.Millisecond, []string{"ms", "msec"}},
	{time.Microsecond, []string{"us", "usec", "µs", "μs"}},
}

// parseTimespan reads a time span as unit files write it, "1min 30s" or "infinity";
// a bare number is seconds.
func parseTimespan(text string) (time.Duration, error) {
	rest := strings.TrimSpace(text)
	if rest == "infinity" {
		return forever, nil
	}
	if rest == "" {
		return 0, fmt.Errorf("time span %q is empty", text)
	}
	var total time.Duration
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		number, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, fmt.Errorf("time span %q: want a number and a unit", text)
		}
		rest = strings.TrimLeft(rest[digits:], " \t")
		letters := strings.IndexAny(rest+" ", " \t0123456789")
		length, ok := timeUnit(rest[:letters])
		if !ok {
			return 0, fmt.Errorf("time span %q: unknown unit %q", text, rest[:letters])
		}
		if number*float64(length) >= float64(forever-total) {
			return 0, fmt.Errorf("time span %q is out of range", text)
		}
		total += time.Duration(math.Round(number * float64(length)))
		rest = strings.TrimLeft(rest[letters:], " \t")
	}
	return total, nil
}

func timeUnit(name string) (time.Duration, bool) {
	for _, u := range timeUnits {
		for _, n := range u.names {
			if n == name {
				return u.length, true
			}
		}
	}
	return 0, false
}

// formatTimespan prints d the way systemctl show does.
func formatTimespan(d time.Duration) string {
	if d == forever {
		return "infinity"
	}
	var parts []string
	for _, u := range timeUnits {
		n, rest := d/u.length, d%u.length
		if n == 0 {
			continue
		}
		// Below a minute a remainder is printed as a fraction, to the microsecond.
		if digits := fractionDigits(u.length); d < time.Minute && rest >= time.Microsecond && digits > 0 {
			return strings.Join(append(parts, fmt.Sprintf("%d.%0*d%s", n, digits, rest/time.Microsecond, u.names[0])), " ")
		}
		parts, d = append(parts, fmt.Sprintf("%d%s", n, u.names[0])), rest
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, " ")
}

func fractionDigits(unit time.Duration) int {
	switch unit {
	case time.Second:
		return 6
	case time.Millisecond:
		return 3
	}
	return 0
}
