package merged

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
)

// valueSet says which values systemd accepts of a setting. A line with another one
// it ignores, with a warning in its log: the line before it counts.
type valueSet struct {
	words   []string
	boolean bool
	span    bool
	number  bool
	any     bool // every value but an empty one
	reset   bool // an empty one is a way back to the default
	check   func(string) bool
	since   map[string]int // words that older versions do not know
}

// has reports whether systemd takes value. Nil takes all, also an empty one, as a way
// back to the default.
func (v *valueSet) has(value string) bool {
	switch {
	case v == nil || v.any && value != "" || v.reset && value == "":
		return true
	case v.boolean && (unitfile.IsYes(value) || unitfile.IsNo(value)):
		return true
	case v.span:
		return isTime(value)
	case v.check != nil:
		return v.check(value)
	case v.number:
		_, err := strconv.ParseUint(value, 10, 64)
		return err == nil
	}
	return slices.Contains(v.words, value)
}

// known reports whether systemd of that version takes value.
func (v *valueSet) known(value string, systemd int) bool {
	return v == nil || systemd == 0 || v.since[value] <= systemd
}

// Accepts reports whether systemd takes value for a setting. It returns true for a setting
// without a table here.
func Accepts(key, value string) bool { return values[key].has(value) }

// KnownIn reports whether a version of systemd knows value of a setting; 0 is the newest.
func KnownIn(key, value string, systemd int) bool { return values[key].known(value, systemd) }

func oneOf(words string) *valueSet { return &valueSet{words: strings.Fields(words)} }

func yesNoOr(words string) *valueSet {
	return &valueSet{words: strings.Fields(words), boolean: true}
}

var (
	boolean = &valueSet{boolean: true}
	span    = &valueSet{span: true}
	number  = &valueSet{number: true}
	some    = &valueSet{any: true}
	signal  = &valueSet{check: cmdline.IsSignal}
	size    = &valueSet{check: isLimit(isSize), reset: true}
	tasks   = &valueSet{check: isLimit(isCount), reset: true}
)

// isLimit returns a function for values of MemoryMax= and TasksMax=, in which a percentage is
// possible.
func isLimit(isAmount func(string) bool) func(string) bool {
	return func(value string) bool {
		percent, ok := strings.CutSuffix(strings.ReplaceAll(value, "%%", "%"), "%")
		_, err := strconv.ParseFloat(percent, 64)
		return value == "infinity" || ok && err == nil || isAmount(value)
	}
}

// limitOf returns the set of values of a setting such as LimitNOFILE=: one limit, or a soft and
// a hard limit.
func limitOf(isAmount func(string) bool) *valueSet {
	return &valueSet{check: func(value string) bool {
		soft, hard, two := strings.Cut(value, ":")
		is := func(half string) bool { return half == "infinity" || isAmount(half) }
		low, errLow := strconv.ParseUint(soft, 10, 64)
		high, errHigh := strconv.ParseUint(hard, 10, 64)
		above := two && errHigh == nil && (soft == "infinity" || errLow == nil && low > high)
		return is(soft) && (!two || is(hard)) && !above
	}}
}

func isSize(value string) bool { _, err := unitfile.Size(value); return err == nil }
func isTime(value string) bool { _, err := unitfile.Span(value); return err == nil }

func isCount(value string) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	return err == nil && n > 0
}

// values has the settings whose accepted values matter to a rule: systemd.service(5),
// systemd.exec(5), systemd.kill(5), systemd.socket(5) of 262.
var values = map[string]*valueSet{
	"Type": {words: strings.Fields("simple exec forking oneshot dbus notify notify-reload idle"),
		since: map[string]int{"notify-reload": 253}},
	"NotifyAccess": oneOf("none main exec all"),
	"KillMode":     {words: strings.Fields("control-group process mixed none"), reset: true},
	"Restart":      oneOf("no always on-success on-failure on-abnormal on-abort on-watchdog"),
	"OOMPolicy":    oneOf("continue stop kill"),
	"ExitType":     oneOf("main cgroup"),
	"FileDescriptorStorePreserve": {words: strings.Fields("restart on-success"), boolean: true,
		since: map[string]int{"on-success": 261}},
	"TimeoutStartSec":          span,
	"TimeoutStopSec":           span,
	"TimeoutSec":               span,
	"RestartSec":               span,
	"WatchdogSec":              span,
	"StartLimitIntervalSec":    span,
	"StartLimitInterval":       span,
	"TriggerLimitIntervalSec":  span,
	"RuntimeMaxSec":            span,
	"RestartMaxDelaySec":       span,
	"JobTimeoutSec":            span,
	"JobRunningTimeoutSec":     span,
	"StartLimitBurst":          number,
	"TriggerLimitBurst":        number,
	"FileDescriptorStoreMax":   number,
	"Backlog":                  number,
	"KillSignal":               signal,
	"RestartKillSignal":        signal,
	"LimitNOFILE":              limitOf(isCount),
	"LimitNPROC":               limitOf(isCount),
	"LimitFSIZE":               limitOf(isSize),
	"LimitCPU":                 limitOf(isTime),
	"MemoryMax":                size,
	"MemoryHigh":               size,
	"MemoryLimit":              size,
	"TasksMax":                 tasks,
	"FailureAction":            some,
	"SuccessAction":            some,
	"StartLimitAction":         some,
	"JobTimeoutAction":         some,
	"OnFailureJobMode":         some,
	"StopWhenUnneeded":         boolean,
	"FinalKillSignal":          signal,
	"WatchdogSignal":           signal,
	"ReloadSignal":             signal,
	"StandardInput":            some,
	"StandardOutput":           some,
	"StandardError":            some,
	"Service":                  some, // of a socket
	"SendSIGKILL":              boolean,
	"RemainAfterExit":          boolean,
	"Accept":                   boolean,
	"RemoveOnStop":             boolean,
	"FlushPending":             boolean,
	"PrivateNetwork":           boolean,
	"DynamicUser":              boolean,
	"RuntimeDirectoryPreserve": yesNoOr("restart"),
	"PrivateTmp":               yesNoOr("disconnected"),
	"PrivatePIDs":              boolean,
	"ProtectHome":              yesNoOr("read-only tmpfs"),
	"ProcSubset":               oneOf("all pid"),
}

// FileOutputs are the kinds of StandardOutput= that open a file.
var FileOutputs = []string{"append", "file", "truncate"}
