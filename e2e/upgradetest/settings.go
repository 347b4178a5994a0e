//go:build linux

package upgradetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"golang.org/x/sys/unix"
)

// errUnsupported marks a setting that this manager refuses rather than ignores,
// because a test would otherwise see something else than under systemd.
var errUnsupported = errors.New("not supported by this manager")

// A setting reads one "Name=value" into a configuration.
type setting[C any] struct {
	since int // version of systemd that knows it, 0 for all
	read  func(c *C, value string) error
}

// settings are those of one section that mean something here.
type settings[C any] map[string]setting[C]

// readSettings reads the lines of section into c. It ignores an unreadable line
// and returns a warning for it, as systemd does; an error is a refused setting.
func readSettings[C any](c *C, lines []unitfile.Assignment, section string, table settings[C], version int) (warnings []string, _ error) {
	for _, a := range lines {
		if a.Section != section {
			continue
		}
		s, known := table[a.Key]
		if !known || version < s.since {
			warnings = append(warnings, fmt.Sprintf("%s= in section [%s] has no effect here, ignoring", a.Key, section))
			continue
		}
		err := s.read(c, a.Value)
		if errors.Is(err, errUnsupported) {
			return nil, fmt.Errorf("%s=%s: %w", a.Key, a.Value, err)
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%s=%s: %v, ignoring", a.Key, a.Value, err))
		}
	}
	return warnings, nil
}

// parseUnit reads the files of a unit in their order and replaces the specifiers. Each line that
// systemd cannot read makes a warning.
func parseUnit(name string, files []unitfile.File, runtimeRoot string) (lines []unitfile.Assignment, warnings []string) {
	for i := range files {
		p := unitfile.Parse(&files[i])
		for _, a := range p.All {
			a.Value = unitfile.Expand(name, runtimeRoot, a.Value)
			lines = append(lines, a)
		}
		for _, l := range p.Ignored {
			warnings = append(warnings, fmt.Sprintf("%s:%d: %q: %s, ignoring", l.File.Name, l.Line, l.Value, l.Why))
		}
	}
	return lines, warnings
}

// The functions below make the read functions of a table: each says which field
// of the configuration a setting fills, and how its value is read.

// refusedBut is a setting of which the given values mean what happens anyway.
func refusedBut[C any](values ...string) setting[C] {
	return setting[C]{read: func(_ *C, value string) error {
		if value == "" || slices.Contains(values, value) {
			return nil
		}
		return errUnsupported
	}}
}

func field[C, T any](parse func(string) (T, error), at func(*C) *T) setting[C] {
	return setting[C]{read: func(c *C, value string) error {
		v, err := parse(value)
		if err == nil {
			*at(c) = v
		}
		return err
	}}
}

func sinceVersion[C any](version int, s setting[C]) setting[C] {
	s.since = version
	return s
}

// words is a list that grows with each line and is emptied by an empty value.
func words[C any](at func(*C) *[]string) setting[C] {
	return setting[C]{read: func(c *C, value string) error {
		if value == "" {
			*at(c) = nil
			return nil
		}
		more, err := unitfile.Words(value)
		*at(c) = append(*at(c), more...)
		return err
	}}
}

// unitNames is words for names of units, in which an escape such as \x2d is part of the name.
func unitNames[C any](at func(*C) *[]string) setting[C] {
	return setting[C]{read: func(c *C, value string) error {
		*at(c) = append(*at(c), unitfile.RawWords(value)...)
		return nil
	}}
}

func oneOf(values ...string) func(string) (string, error) {
	return func(value string) (string, error) {
		for _, v := range values {
			if v == value {
				return v, nil
			}
		}
		return "", fmt.Errorf("want one of %s", strings.Join(values, ", "))
	}
}

func parseBool(value string) (bool, error) {
	if !unitfile.IsYes(value) && !unitfile.IsNo(value) {
		return false, errors.New("want yes or no")
	}
	return unitfile.IsYes(value), nil
}

// parseTimeout reads a time span in which 0 means no timeout.
func parseTimeout(value string) (time.Duration, error) {
	d, err := unitfile.Span(value)
	if d == 0 {
		d = unitfile.Forever
	}
	return d, err
}

func parseText(value string) (string, error) { return value, nil }

func parseOctal(value string) (int, error) {
	n, err := strconv.ParseUint(value, 8, 12)
	return int(n), err
}

func parseCount(value string) (int, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	return int(n), err
}

func parseSignal(value string) (unix.Signal, error) {
	if n, err := strconv.Atoi(value); err == nil && n > 0 && n < 65 {
		return unix.Signal(n), nil
	}
	if n := unix.SignalNum("SIG" + strings.TrimPrefix(value, "SIG")); n != 0 {
		return n, nil
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(value, "SIGRTMIN+")); err == nil && n >= 0 && n <= 30 {
		return unix.Signal(34 + n), nil // glibc keeps the first two for itself
	}
	return 0, fmt.Errorf("unknown signal %q", value)
}

// A limit is the value of LimitNOFILE=.
type limit struct{ soft, hard uint64 }

func parseLimit(value string) (limit, error) {
	soft, hard, both := strings.Cut(value, ":")
	if !both {
		hard = soft
	}
	s, err := parseLimitNumber(soft)
	if err != nil {
		return limit{}, err
	}
	h, err := parseLimitNumber(hard)
	return limit{s, h}, err
}

func parseLimitNumber(value string) (uint64, error) {
	if value == "infinity" {
		return unix.RLIM_INFINITY, nil
	}
	return strconv.ParseUint(value, 10, 63)
}
