package units

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Rules on the two generations as processes of one unit: how they start, how they end, and how
// systemd reacts.

var processRules = []*rule{{
	Rule: Rule{
		ID: "exec-start-ignored", Severity: Error,
		Title:  "the failure of the program must count",
		Why:    "With the prefix - an exit status other than 0 is success, and Restart=on-failure has nothing to do.",
		Effect: "a program that ends with an error is not restarted",
		Fix:    "the same line without the -",
		Bad:    "[Service]\nExecStart=-/usr/bin/myapp\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp\n",
	},
	find: func(svc *service) []fault {
		if a, start := svc.binary(); strings.Contains(start.Prefix, "-") && svc.of("Restart").Value != "always" {
			return wrongf(svc.unit, a, "ExecStart=%s begins with -", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exit-type", Severity: Error,
		Title: "ExitType= must be main",
		Why: "With cgroup the service lives until its last process is gone. When the new main process crashes while the old one drains, " +
			"systemd waits for the end of the drain before it restarts anything. 247 ignores the setting.",
		Effect: "a crash during a drain is not followed by a restart until the drain ends",
		Fix:    "no ExitType=",
		Bad:    "[Service]\nExitType=cgroup\n[X-Cutover]\nSystemd=252\n",
		Fixed:  "[Service]\n# no ExitType=\n[X-Cutover]\nSystemd=252\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("ExitType"); a.Value == "cgroup" {
			return wrongf(svc.unit, a, "ExitType=cgroup")
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "kill-mode", Severity: Error,
		Title: "KillMode= must be control-group",
		Why: "After the commit the old process is a plain member of the unit. With mixed, a stop, a restart or a crash of the main process kills it by SIGKILL in that moment, " +
			"with all that it still had to answer; so the old one cannot cover for a crash. With process or none it outlives even a stop, and lives in the next instance's cgroup. All versions.",
		Effect: "mixed: requests that still drain are lost when the main process ends; process, none: the old process is left over",
		Fix:    "KillMode=control-group",
		Bad:    "[Service]\nKillMode=mixed\n",
		Fixed:  "[Service]\nKillMode=control-group\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("KillMode"); a.Value != "" && a.Value != "control-group" {
			return wrongf(svc.unit, a, "KillMode=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "kill-signal", Severity: Error,
		Title: "a stop must come as SIGTERM",
		Why: "Package reexec handles SIGTERM and SIGINT as a stop, SIGHUP as the wish to be upgraded, and Options.RestartSignal, for which there is SIGUSR2, as the word that the stop is one half of a restart. " +
			"Go ignores SIGUSR1 and SIGUSR2 otherwise, so that TimeoutStopSec= passes and SIGKILL comes; most others end a program at once.",
		Effect: "when it should stop, the program is upgraded, or dies without a drain, or does nothing until SIGKILL, or leaves its connections to a next process that does not come",
		Fix:    "no KillSignal=; for restarts there is RestartKillSignal=",
		Bad:    "[Service]\nKillSignal=SIGUSR1\n",
		Fixed:  "[Service]\n# no KillSignal=\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("KillSignal"); !isSignal(a.Value, "", "TERM", "15", "INT", "2") {
			return wrongf(svc.unit, a, "KillSignal=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "restart-kill-signal", Severity: Error,
		Title: "a restart must come as SIGUSR2, or as SIGTERM",
		Why: "RestartKillSignal= (244) takes the place of KillSignal= when a restart is the reason. With reexec.Options.RestartSignal SIGUSR2 ends the program as SIGTERM does, and idle connections " +
			"go to the fd store for the next process; a program with Conns= in [X-Cutover] needs this. A program that does not name the signal ignores it until TimeoutStopSec=. Without the line a restart looks like a stop, and idle connections are closed. Other signals do not stop the program.",
		Effect: "at a restart the program is upgraded, or dies without a drain, or does nothing until SIGKILL; or its idle connections are closed that could have moved",
		Fix:    "RestartKillSignal=SIGUSR2, or no RestartKillSignal= for a program that moves no connections",
		Bad:    "[Service]\nRestartKillSignal=SIGUSR1\n",
		Fixed:  "[Service]\nRestartKillSignal=SIGUSR2\nFileDescriptorStoreMax=1088\n[X-Cutover]\nConns=1024\n",
	},
	find: func(svc *service) []fault {
		switch a := svc.of("RestartKillSignal"); {
		case isSignal(a.Value, "USR2", "12") && svc.program.Conns == 0 && svc.unit.Sections[metadata] != 0:
			return wrongf(svc.unit, a, "RestartKillSignal=%s, and no Conns= that says that the program knows it", a.Value)
		case isSignal(a.Value, "USR2", "12"):
			return nil
		case svc.program.Conns > 0:
			return wrongf(svc.unit, a, "%s, the program leaves connections to the next one", is("RestartKillSignal", a.Value, "SIGTERM"))
		case !isSignal(a.Value, "", "TERM", "15", "INT", "2"):
			return wrongf(svc.unit, a, "RestartKillSignal=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "send-sigkill", Severity: Warning,
		Title:  "SendSIGKILL=no lets a stuck process block the next start",
		Why:    "A process that does not end within TimeoutStopSec= is left over, and systemd then refuses to start the unit.",
		Effect: "after a stop that one generation does not follow, the service cannot be started again",
		Fix:    "no SendSIGKILL=",
		Bad:    "[Service]\nSendSIGKILL=no\n",
		Fixed:  "[Service]\n# no SendSIGKILL=\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("SendSIGKILL"); unitfile.IsNo(a.Value) {
			return wrongf(svc.unit, a, "SendSIGKILL=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "restart", Severity: Error,
		Title: "Restart= must be on-failure",
		Why: "The default is no: after a crash the unit is failed, the fd store is emptied, and the sockets that the program bound itself are closed. " +
			"on-abnormal, on-abort and on-watchdog leave out the exit status of a panic, 2.",
		Effect: "after a crash the service stays down",
		Fix:    "Restart=on-failure",
		Bad:    "[Service]\nRestart=no\n",
		Fixed:  "[Service]\nRestart=on-failure\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("Restart"); a.Value != "on-failure" && a.Value != "always" {
			return wrongf(svc.unit, a, "%s", is("Restart", a.Value, "no"))
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "restart-mode", Severity: Warning,
		Title: "RestartMode=direct makes a start that fails wait for ever",
		Why: "With direct (254) the unit does not pass through failed on its way to a restart, and the job that started it does not end. " +
			"Where no start limit ends the restarts, `systemctl start` of a program that cannot start never returns, and a boot waits for it.",
		Effect: "`systemctl start` and `systemctl restart` of a broken program never return",
		Fix:    "no RestartMode=",
		Bad:    "[Service]\nRestartMode=direct\n[X-Cutover]\nSystemd=254\n",
		Fixed:  "[Service]\n# no RestartMode=\n[X-Cutover]\nSystemd=254\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("RestartMode"); a.Value == "direct" {
			return wrongf(svc.unit, a, "RestartMode=direct")
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "start-limit", Severity: Warning,
		Title: "the start limit should not end the service",
		Why: "The default is 5 starts in 10 s, `systemctl restart` by hand included, and Restart= waits 100 ms. After the limit the unit is failed: " +
			"the fd store is gone, and a .socket unit fails too (Result=service-start-limit-hit) and closes its listener. Clients are refused until an operator starts the unit. Since 255 a daemon-reload does not forgive.",
		Effect: "a program that crashes a few times, or is restarted often, loses its sockets",
		Fix:    "StartLimitIntervalSec=0 in [Unit], or a RestartSec= so long that Restart= cannot reach the limit",
		Bad:    "[Unit]\nStartLimitIntervalSec=10s\n",
		Fixed:  "[Unit]\nStartLimitIntervalSec=0\n",
	},
	find: startLimit,
}, {
	Rule: Rule{
		ID: "start-timeout", Severity: Warning,
		Title: "TimeoutStartSec= must be longer than a start",
		Why: "A successor may take as long as Options.ReadyTimeout, and a trial on top: for an upgrade the main process asks systemd for the time (EXTEND_TIMEOUT_USEC=). " +
			"For a start by systemd no process asks. So a slow program can be upgraded, but after a crash or at boot systemd kills it before it is ready, again and again.",
		Effect: "a program for which an upgrade waits does not come up after a crash or at boot",
		Fix:    "TimeoutStartSec= of at least the program's ready timeout (30 s if it sets none)",
		Bad:    "[Service]\nTimeoutStartSec=5s\n",
		Fixed:  "[Service]\nTimeoutStartSec=30s\n",
	},
	find: func(svc *service) []fault {
		if a, d := svc.startTimeout(); d != 0 && d < svc.program.ReadyTimeout { // 0 is off
			return wrongf(svc.unit, a, "%s=%s, the ready timeout is %v", a.Key, a.Value, svc.program.ReadyTimeout)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "start-timeout-infinite", Severity: Warning,
		Title:  "TimeoutStartSec= must end a reload command that hangs",
		Why:    "ExecReload= runs the new binary. If the new binary hangs before it asks for an upgrade, only TimeoutStartSec= ends it, because the main process does not know of it.",
		Effect: "`systemctl reload` with a program that hangs never returns, and the unit stays reloading",
		Fix:    "TimeoutStartSec=30s",
		Bad:    "[Service]\nTimeoutStartSec=infinity\n",
		Fixed:  "[Service]\nTimeoutStartSec=30s\n",
	},
	find: func(svc *service) []fault {
		if a, d := svc.startTimeout(); d == unitfile.Forever || d == 0 {
			return wrongf(svc.unit, a, "%s=%s", a.Key, a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "stop-timeout", Severity: Error,
		Title: "TimeoutStopSec= must be longer than the drain of a stop",
		Why: "At a stop each generation finishes its requests, for up to Options.StopDrain (the value of Options.Drain, 30 s, if the program sets none), and a predecessor that serves after a crash of its successor takes up to 10 s more. " +
			"When TimeoutStopSec= is over, systemd sends SIGKILL.",
		Effect: "a stop or a restart cuts requests off that the drain would have finished",
		Fix:    "TimeoutStopSec= of the drain of a stop and 10 s at least",
		Bad:    "[Service]\nTimeoutStopSec=10s\n",
		Fixed:  "[Service]\nTimeoutStopSec=45s\n",
	},
	find: func(svc *service) []fault {
		a, d := svc.timeout("TimeoutStopSec")
		if d == 0 { // off
			return nil
		}
		if d < svc.program.StopDrain+10*time.Second {
			return wrongf(svc.unit, a, "%s=%s, the drain of a stop is %v", a.Key, a.Value, svc.program.StopDrain)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "watchdog", Severity: Warning,
		Title: "WatchdogSec= must be longer than an upgrade",
		Why: "The deadline goes on when the main process changes: messages of the predecessor after the commit do not count, and the successor must send WATCHDOG=1 before the deadline. " +
			"The switch alone may take 5 s on a busy machine. On expiry both generations get SIGABRT.",
		Effect: "an upgrade at a bad moment kills both generations",
		Fix:    "WatchdogSec= of 10 s or more",
		Bad:    "[Service]\nWatchdogSec=2s\n",
		Fixed:  "[Service]\nWatchdogSec=30s\n",
	},
	find: func(svc *service) []fault {
		if a, d := svc.span("WatchdogSec", 0); d > 0 && d < 10*time.Second {
			return wrongf(svc.unit, a, "WatchdogSec=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "oom-policy", Severity: Warning,
		Title: "OOMPolicy= should be continue",
		Why: "After the commit both generations are in one cgroup, and together they need about twice the memory. The default, stop, " +
			"ends the whole service when the kernel kills one process of it: the old one that drains too.",
		Effect: "an OOM kill of the process that drains stops the one that serves",
		Fix:    "OOMPolicy=continue",
		Bad:    "[Service]\nOOMPolicy=stop\n",
		Fixed:  "[Service]\nOOMPolicy=continue\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("OOMPolicy"); a.Value != "continue" {
			return wrongf(svc.unit, a, "%s", is("OOMPolicy", a.Value, "stop"))
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "tasks-max", Severity: Warning,
		Title:  "TasksMax= must have room for two generations",
		Why:    "TasksMax= counts the threads of all generations. A Go program has about ten when idle, and one more for each blocking system call.",
		Effect: "the successor cannot be started, or one of the two crashes when it needs a thread",
		Fix:    "TasksMax= of 64 or more, or none",
		Bad:    "[Service]\nTasksMax=16\n",
		Fixed:  "[Service]\nTasksMax=256\n",
	},
	find: func(svc *service) []fault {
		if a, n := svc.number("TasksMax", 64); n < 64 {
			return wrongf(svc.unit, a, "TasksMax=%s", a.Value)
		}
		return nil
	},
}}

// isSignal reports whether value is one of names, which are without SIG.
func isSignal(value string, names ...string) bool {
	return slices.Contains(names, strings.TrimPrefix(value, "SIG"))
}

// startTimeout is TimeoutStartSec=, or the TimeoutSec= that stands for it.
func (svc *service) startTimeout() (unitfile.Assignment, time.Duration) {
	return svc.timeout("TimeoutStartSec")
}

// timeout returns a start or stop timeout. TimeoutSec= sets both, the last line counts, and
// systemd's default is 90 s.
func (svc *service) timeout(key string) (unitfile.Assignment, time.Duration) {
	own, both := svc.of(key), svc.of("TimeoutSec")
	for _, a := range slices.Backward(svc.unit.All) {
		if a.Value != "" && (a == own || a == both) {
			d, _ := unitfile.Span(a.Value)
			return a, d
		}
	}
	return own, 90 * time.Second
}

func startLimit(svc *service) []fault {
	at := svc.unit.LastOf(unitfile.Assignment{Section: "Unit", Key: "StartLimitIntervalSec"},
		unitfile.Assignment{Section: "Unit", Key: "StartLimitInterval"}, unitfile.Assignment{Section: "Service", Key: "StartLimitInterval"}) // the name until 229
	interval, err := unitfile.Span(at.Value)
	if err != nil {
		interval = 10 * time.Second
	}
	burst := 5
	count := svc.unit.LastOf(unitfile.Assignment{Section: "Unit", Key: "StartLimitBurst"}, unitfile.Assignment{Section: "Service", Key: "StartLimitBurst"})
	if n, err := strconv.Atoi(count.Value); err == nil {
		burst = n
	}
	_, pause := svc.span("RestartSec", 100*time.Millisecond)
	if interval == 0 || burst == 0 || pause > 0 && pause >= interval/time.Duration(burst) {
		return nil
	}
	return wrongf(svc.unit, at, "%s: %d starts within %v end it", is("StartLimitIntervalSec", at.Value, "10s"), burst, interval)
}
