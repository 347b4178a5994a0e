package unitfile

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Forever is the time span infinity, and each span that a Duration cannot hold (292 years).
const Forever = time.Duration(math.MaxInt64)

// infinite is the first number of microseconds that systemd does not take for a time span.
const infinite = math.MaxUint64

// A timeUnit is a unit of systemd.time(7), in microseconds.
type timeUnit struct {
	length uint64
	names  []string // FormatSpan prints the first
}

// timeUnits are ordered from the largest to the smallest.
var timeUnits = []timeUnit{
	{31_557_600_000_000, []string{"y", "year", "years"}}, // 365.25 days
	{2_629_800_000_000, []string{"month", "months", "M"}},
	{604_800_000_000, []string{"w", "week", "weeks"}},
	{86_400_000_000, []string{"d", "day", "days"}},
	{3_600_000_000, []string{"h", "hr", "hour", "hours"}},
	{60_000_000, []string{"min", "minute", "minutes", "m"}},
	{1_000_000, []string{"s", "sec", "second", "seconds", ""}},
	{1000, []string{"ms", "msec"}},
	{1, []string{"us", "usec", "µs", "μs"}},
}

// Span reads a time span such as 1min 30s; a number alone is seconds. systemd counts
// microseconds and cuts smaller fractions off.
func Span(text string) (time.Duration, error) {
	rest := strings.Trim(text, blanks)
	if rest == "infinity" {
		return Forever, nil
	}
	if rest == "" {
		return 0, fmt.Errorf("time span %q is empty", text)
	}
	var total uint64
	for rest != "" {
		part, after, err := nextSpan(rest)
		if err != nil {
			return 0, fmt.Errorf("time span %q: %w", text, err)
		}
		if part >= infinite-total {
			return 0, fmt.Errorf("time span %q is out of range", text)
		}
		total += part
		rest = strings.TrimLeft(after, blanks)
	}
	if total > uint64(Forever/time.Microsecond) {
		return Forever, nil
	}
	return time.Duration(total) * time.Microsecond, nil
}

// nextSpan takes one number with its unit from the front of s.
func nextSpan(s string) (microseconds uint64, rest string, err error) {
	whole, rest := digits(s)
	if whole == "" && strings.HasPrefix(s, "+") {
		if whole, rest = digits(s[1:]); whole == "" {
			rest = s
		}
	}
	fraction, hasPoint := "", false
	if rest, hasPoint = strings.CutPrefix(rest, "."); hasPoint {
		fraction, rest = digits(rest)
	}
	if whole == "" && fraction == "" || hasPoint && fraction == "" {
		return 0, "", fmt.Errorf("want a number and a unit at %q", s)
	}
	if strings.HasPrefix(rest, ".") {
		return 0, "", fmt.Errorf("%q has two points", s)
	}
	rest = strings.TrimLeft(rest, blanks)
	letters := strings.IndexFunc(rest+".", func(r rune) bool { return !unicode.IsLetter(r) })
	length, known := unitLength(rest[:letters])
	if !known {
		return 0, "", fmt.Errorf("unknown unit %q", rest[:letters])
	}
	number, err := strconv.ParseUint("0"+whole, 10, 63)
	if err != nil || number >= infinite/length {
		return 0, "", fmt.Errorf("%s is out of range", whole)
	}
	microseconds = number * length
	for place := length / 10; fraction != ""; place, fraction = place/10, fraction[1:] {
		microseconds += uint64(fraction[0]-'0') * place
	}
	return microseconds, rest[letters:], nil
}

// digits cuts the digits at the front of s off.
func digits(s string) (number, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

func unitLength(name string) (microseconds uint64, known bool) {
	for _, u := range timeUnits {
		for _, n := range u.names {
			if n == name {
				return u.length, true
			}
		}
	}
	return 0, false
}

// FormatSpan writes d as systemctl show does. It cuts fractions of a microsecond off.
func FormatSpan(d time.Duration) string {
	if d == Forever {
		return "infinity"
	}
	var parts []string
	left := uint64(d / time.Microsecond)
	for _, u := range timeUnits {
		n, rest := left/u.length, left%u.length
		if n == 0 {
			continue
		}
		// Below a minute systemd prints a remainder as a fraction.
		if digits := fractionDigits(u.length); left < 60_000_000 && rest > 0 && digits > 0 {
			return strings.Join(append(parts, fmt.Sprintf("%d.%0*d%s", n, digits, rest, u.names[0])), " ")
		}
		parts, left = append(parts, fmt.Sprintf("%d%s", n, u.names[0])), rest
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, " ")
}

// fractionDigits is the number of digits by which microseconds are a fraction of unit.
func fractionDigits(unit uint64) int {
	switch unit {
	case 1_000_000:
		return 6
	case 1000:
		return 3
	}
	return 0
}
