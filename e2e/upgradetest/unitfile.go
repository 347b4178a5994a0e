//go:build linux

package upgradetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	unitfile "github.com/coreos/go-systemd/v22/unit"
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

// readSettings reads the options of section into c. It ignores an unreadable option
// and returns a warning for it, as systemd does; an error is a refused setting.
func readSettings[C any](c *C, options []*unitfile.UnitOption, section string, table settings[C], version int) (warnings []string, _ error) {
	for _, o := range options {
		if o.Section != section {
			continue
		}
		s, known := table[o.Name]
		if !known || version < s.since {
			warnings = append(warnings, fmt.Sprintf("%s= in section [%s] has no effect here, ignoring", o.Name, section))
			continue
		}
		err := s.read(c, o.Value)
		if errors.Is(err, errUnsupported) {
			return nil, fmt.Errorf("%s=%s: %w", o.Name, o.Value, err)
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%s=%s: %v, ignoring", o.Name, o.Value, err))
		}
	}
	return warnings, nil
}

// parseUnit splits unit text into options and replaces the specifiers.
func parseUnit(name, text, runtimeRoot string) ([]*unitfile.UnitOption, error) {
	options, err := unitfile.DeserializeOptions(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	r := specifiers(name, runtimeRoot)
	for _, o := range options {
		o.Value = r.Replace(strings.ReplaceAll(o.Value, "\\\n", " "))
	}
	return options, nil
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
		more, err := splitWords(value)
		*at(c) = append(*at(c), more...)
		return err
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
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, errors.New("want yes or no")
}

// parseTimeout reads a time span in which 0 means no timeout.
func parseTimeout(value string) (time.Duration, error) {
	d, err := parseTimespan(value)
	if d == 0 {
		d = forever
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
