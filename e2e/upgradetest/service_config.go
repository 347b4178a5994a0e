//go:build linux

package upgradetest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"golang.org/x/sys/unix"
)

// A serviceConfig holds the settings of a .service file.
type serviceConfig struct {
	unitConfig
	kind           string // Type=
	notifyAccess   string
	exec           map[string][]command // by setting, ExecStart= and the others
	environment    []string
	passEnv        []string
	workingDir     string
	limitNOFILE    limit
	umask          int
	nonBlocking    bool
	sockets        []string
	storeMax       int
	storePreserve  string
	runtimeDirs    []string
	runtimeMode    int
	runtimeKeep    string
	restart        string
	restartMode    string
	restartAfter   time.Duration
	restartForce   exitSet
	restartPrevent exitSet
	successExit    exitSet
	killMode       string
	killSignal     unix.Signal
	restartKill    unix.Signal // 0: as killSignal
	finalKill      unix.Signal
	watchdogSignal unix.Signal
	reloadSignal   unix.Signal
	sendSIGKILL    bool
	timeoutStart   time.Duration
	timeoutStop    time.Duration
	timeoutAbort   time.Duration // 0: as timeoutStop
	watchdog       time.Duration // 0: none
}

func parseService(lines []unitfile.Assignment, version int) (*serviceConfig, []string, error) {
	c := &serviceConfig{
		unitConfig: defaultUnitConfig(), kind: "simple", notifyAccess: "none", exec: map[string][]command{},
		limitNOFILE: limit{1024, 524288}, umask: 0o022, storePreserve: "restart",
		runtimeMode: 0o755, runtimeKeep: "no", restart: "no", restartMode: "normal", restartAfter: 100 * time.Millisecond,
		killMode: "control-group", killSignal: unix.SIGTERM, finalKill: unix.SIGKILL, watchdogSignal: unix.SIGABRT,
		reloadSignal: unix.SIGHUP, sendSIGKILL: true, timeoutStart: 90 * time.Second, timeoutStop: 90 * time.Second,
	}
	warnings, err := readSettings(c, lines, "Service", serviceSettings(version), version)
	if err != nil {
		return nil, nil, err
	}
	more, err := readSettings(&c.unitConfig, lines, "Unit", unitSettings(), version)
	if err != nil {
		return nil, nil, err
	}
	if n := len(c.exec["ExecStart"]); n != 1 {
		return nil, nil, fmt.Errorf("want one command in ExecStart=, have %d", n)
	}
	c.implied()
	return c, append(warnings, more...), nil
}

// implied fills in what follows from other settings.
func (c *serviceConfig) implied() {
	c.wants = append(c.wants, c.sockets...)
	if c.notifyAccess == "none" && (c.usesNotify() || c.watchdog > 0 || c.storeMax > 0) {
		c.notifyAccess = "main"
	}
	if c.restartKill == 0 {
		c.restartKill = c.killSignal
	}
	if c.timeoutAbort == 0 {
		c.timeoutAbort = c.timeoutStop
	}
}

// usesNotify reports whether readiness comes with READY=1.
func (c *serviceConfig) usesNotify() bool { return c.kind == "notify" || c.kind == "notify-reload" }

func (c *serviceConfig) canReload() bool {
	return len(c.exec["ExecReload"]) > 0 || c.kind == "notify-reload"
}

func serviceSettings(version int) settings[serviceConfig] {
	type c = serviceConfig
	t := settings[c]{
		"Type":                        {read: readType(version)},
		"NotifyAccess":                field(oneOf("none", "main", "exec", "all"), func(c *c) *string { return &c.notifyAccess }),
		"Environment":                 words(func(c *c) *[]string { return &c.environment }),
		"PassEnvironment":             words(func(c *c) *[]string { return &c.passEnv }),
		"WorkingDirectory":            field(parseText, func(c *c) *string { return &c.workingDir }),
		"LimitNOFILE":                 field(parseLimit, func(c *c) *limit { return &c.limitNOFILE }),
		"UMask":                       field(parseOctal, func(c *c) *int { return &c.umask }),
		"NonBlocking":                 field(parseBool, func(c *c) *bool { return &c.nonBlocking }),
		"Sockets":                     unitNames(func(c *c) *[]string { return &c.sockets }),
		"FileDescriptorStoreMax":      field(parseCount, func(c *c) *int { return &c.storeMax }),
		"FileDescriptorStorePreserve": sinceVersion(254, field(preserveValues(version), func(c *c) *string { return &c.storePreserve })),
		"RuntimeDirectory":            {read: readRuntimeDirectory},
		"RuntimeDirectoryMode":        field(parseOctal, func(c *c) *int { return &c.runtimeMode }),
		"RuntimeDirectoryPreserve":    field(oneOf("no", "yes", "restart"), func(c *c) *string { return &c.runtimeKeep }),
	}
	for _, more := range []settings[c]{execSettings(), stopSettings(), restartSettings(), refusedSettings()} {
		for name, s := range more {
			t[name] = s
		}
	}
	return t
}

func execSettings() settings[serviceConfig] {
	t := settings[serviceConfig]{}
	for _, name := range []string{"ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost"} {
		t[name] = setting[serviceConfig]{read: readExec(name)}
	}
	t["ExecReloadPost"] = setting[serviceConfig]{since: 259, read: readExec("ExecReloadPost")}
	return t
}

func stopSettings() settings[serviceConfig] {
	type c = serviceConfig
	return settings[c]{
		"KillMode":          field(parseKillMode, func(c *c) *string { return &c.killMode }),
		"KillSignal":        field(parseSignal, func(c *c) *unix.Signal { return &c.killSignal }),
		"RestartKillSignal": field(parseSignal, func(c *c) *unix.Signal { return &c.restartKill }),
		"FinalKillSignal":   field(parseSignal, func(c *c) *unix.Signal { return &c.finalKill }),
		"WatchdogSignal":    field(parseSignal, func(c *c) *unix.Signal { return &c.watchdogSignal }),
		"ReloadSignal":      sinceVersion(253, field(parseSignal, func(c *c) *unix.Signal { return &c.reloadSignal })),
		"SendSIGKILL":       field(parseBool, func(c *c) *bool { return &c.sendSIGKILL }),
		"TimeoutStartSec":   field(parseTimeout, func(c *c) *time.Duration { return &c.timeoutStart }),
		"TimeoutStopSec":    field(parseTimeout, func(c *c) *time.Duration { return &c.timeoutStop }),
		"TimeoutAbortSec":   field(parseTimeout, func(c *c) *time.Duration { return &c.timeoutAbort }),
		"WatchdogSec":       field(unitfile.Span, func(c *c) *time.Duration { return &c.watchdog }),
		"TimeoutSec": {read: func(c *c, value string) error {
			d, err := parseTimeout(value)
			if err == nil {
				c.timeoutStart, c.timeoutStop = d, d
			}
			return err
		}},
	}
}

func restartSettings() settings[serviceConfig] {
	type c = serviceConfig
	restart := oneOf("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog")
	return settings[c]{
		"Restart":                  field(restart, func(c *c) *string { return &c.restart }),
		"RestartMode":              sinceVersion(254, field(oneOf("normal", "direct"), func(c *c) *string { return &c.restartMode })),
		"RestartSec":               field(unitfile.Span, func(c *c) *time.Duration { return &c.restartAfter }),
		"RestartForceExitStatus":   exitStatuses(func(c *c) *exitSet { return &c.restartForce }),
		"RestartPreventExitStatus": exitStatuses(func(c *c) *exitSet { return &c.restartPrevent }),
		"SuccessExitStatus":        exitStatuses(func(c *c) *exitSet { return &c.successExit }),
	}
}

// refusedSettings change the user, the environment or the start condition of the
// processes.
func refusedSettings() settings[serviceConfig] {
	type c = serviceConfig
	t := settings[c]{
		"User":     refusedBut[c](strconv.Itoa(os.Getuid())),
		"Group":    refusedBut[c](strconv.Itoa(os.Getgid())),
		"ExitType": refusedBut[c]("main"), "StandardInput": refusedBut[c]("null"), "RuntimeMaxSec": refusedBut[c]("infinity"),
		"PrivatePIDs": refusedBut[c]("no"), "RemainAfterExit": refusedBut[c]("no"),
	}
	for _, name := range []string{"EnvironmentFile", "OpenFile", "PIDFile", "BusName", "RootDirectory", "RootImage", "ExecCondition",
		"StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory", "LoadCredential", "SetCredential"} {
		t[name] = refusedBut[c]()
	}
	return t
}

func readType(version int) func(*serviceConfig, string) error {
	return func(c *serviceConfig, value string) error {
		switch value {
		case "notify-reload":
			if version < 253 {
				return fmt.Errorf("unknown service type before systemd 253")
			}
		case "simple", "exec", "notify":
		case "forking", "oneshot", "dbus", "idle":
			return errUnsupported
		default:
			return errors.New("unknown service type")
		}
		c.kind = value
		return nil
	}
}

// parseKillMode reads an empty value as the default.
func parseKillMode(value string) (string, error) {
	return oneOf("control-group", "mixed", "process", "none")(cmp.Or(value, "control-group"))
}

func readExec(name string) func(*serviceConfig, string) error {
	return func(c *serviceConfig, value string) error {
		if value == "" {
			c.exec[name] = nil
			return nil
		}
		commands, err := parseCommands(value)
		c.exec[name] = append(c.exec[name], commands...)
		return err
	}
}

func readRuntimeDirectory(c *serviceConfig, value string) error {
	dirs, err := unitfile.Words(value)
	for _, d := range dirs {
		if !filepath.IsLocal(d) || filepath.Clean(d) == "." {
			return fmt.Errorf("%q does not lie below the runtime directory", d)
		}
	}
	if value == "" {
		c.runtimeDirs = nil
	}
	c.runtimeDirs = append(c.runtimeDirs, dirs...)
	return err
}

func preserveValues(version int) func(string) (string, error) {
	values := []string{"no", "restart", "yes"}
	if version >= 261 {
		values = append(values, "on-success")
	}
	return func(value string) (string, error) {
		if b, err := parseBool(value); err == nil {
			value = map[bool]string{false: "no", true: "yes"}[b]
		}
		return oneOf(values...)(value)
	}
}

// An exitSet holds exit statuses and signals.
type exitSet struct {
	statuses []int
	signals  []unix.Signal
}

func (s exitSet) has(e exitStatus) bool {
	if e.code == exited {
		return slices.Contains(s.statuses, e.status)
	}
	return slices.Contains(s.signals, unix.Signal(e.status))
}

func exitStatuses(at func(*serviceConfig) *exitSet) setting[serviceConfig] {
	return setting[serviceConfig]{read: func(c *serviceConfig, value string) error {
		set := at(c)
		if value == "" {
			*set = exitSet{}
		}
		words, err := unitfile.Words(value)
		for _, w := range words {
			if n, err := strconv.ParseUint(w, 10, 8); err == nil {
				set.statuses = append(set.statuses, int(n))
			} else if sig, err := parseSignal(w); err == nil {
				set.signals = append(set.signals, sig)
			} else {
				return fmt.Errorf("%q is neither an exit status nor a signal", w)
			}
		}
		return err
	}}
}
