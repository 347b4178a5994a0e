package units

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// forever stands for infinity of systemd.
const forever = time.Duration(math.MaxInt64)

// spanUnits are those of systemd.time(7) that occur in timeouts.
var spanUnits = map[string]time.Duration{
	"": time.Second, "us": time.Microsecond, "usec": time.Microsecond, "µs": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
	"M": month, "month": month, "months": month, "y": year, "year": year, "years": year,
}

// The lengths of systemd.time(7).
const (
	month = 30*24*time.Hour + 10*time.Hour + 33*time.Minute + 36*time.Second // 30.44 days
	year  = 365*24*time.Hour + 6*time.Hour                                   // 365.25 days
)

// parseSpan reads a time span such as 1min 30s. A number alone is seconds.
func parseSpan(s string) (total time.Duration, ok bool) {
	if s == "infinity" {
		return forever, true
	}
	if strings.TrimSpace(s) == "" {
		return 0, false
	}
	for rest := s; strings.TrimSpace(rest) != ""; {
		var amount float64
		var unit time.Duration
		if amount, unit, rest, ok = nextSpan(strings.TrimLeft(rest, " \t")); !ok {
			return 0, false
		}
		sum := float64(total) + amount*float64(unit)
		if sum >= float64(forever) {
			return forever, true
		}
		total += time.Duration(math.Round(amount * float64(unit)))
	}
	return total, true
}

// nextSpan takes one number with its unit from the front of s.
func nextSpan(s string) (amount float64, unit time.Duration, rest string, ok bool) {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(s)
	}
	amount, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return 0, 0, "", false
	}
	s = strings.TrimLeft(s[end:], " \t")
	end = strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
	if end < 0 {
		end = len(s)
	}
	unit, ok = spanUnits[s[:end]]
	return amount, unit, s[end:], ok
}

// formatSpan writes a span of whole milliseconds as systemd reads it.
func formatSpan(d time.Duration) string {
	if d%time.Second != 0 {
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}
