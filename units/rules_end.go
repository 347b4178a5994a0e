package units

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on settings that end the service, its sockets or a job of it.

var endRules = []*rule{{
	Rule: Rule{
		ID: "exec-stop", Severity: Error,
		Title: "ExecStop= must not kill the program",
		Why: "systemd runs ExecStop= first and then sends SIGTERM to all generations, and they finish their requests. " +
			"SIGKILL, SIGQUIT and SIGABRT end a Go program at once. SIGUSR1 and SIGUSR2 do nothing, or announce a restart, and SIGHUP begins an upgrade in the middle of the stop.",
		Effect: "a stop or a restart cuts off requests, and the unit is failed",
		Fix:    "no ExecStop=: the SIGTERM of systemd starts the drain",
		Bad:    "[Service]\nExecStop=/bin/kill -KILL $MAINPID\n",
		Fixed:  "[Service]\n# no ExecStop=\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.List("Service", "ExecStop") {
			steps, _ := cmdline.Parse(a.Value).Steps()
			for _, s := range steps {
				if signal, sends := s.Signal(); sends && (cmdline.IsDeadly(signal) || signal == "HUP" || strings.HasPrefix(signal, "USR")) {
					all = append(all, wrongf(svc.unit, a, "ExecStop=%s sends SIG%s", a.Value, signal)...)
					break
				}
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "socket-stops", Severity: Error,
		Title: "a .socket unit must not stop with its service",
		Why: "PartOf=, BindsTo=, Requires= or Requisite= with the service in a .socket unit make a restart of the service restart the socket. New clients wait in the queue while the service finishes its work. " +
			"Then systemd closes the socket, and with it the queue. With PropagatesStopTo= (249) systemd stops the socket when the service crashes, until Restart= starts both again. All versions.",
		Effect: "`systemctl restart` of the service resets all clients that wait in the queue; with PropagatesStopTo= clients are refused after a crash",
		Fix:    "no such line in the .socket unit; Requires= and After= with the socket in the service",
		Bad:    "[Unit]\nPropagatesStopTo=myapp.socket\n[X-Cutover]\nSystemd=252\n",
		Fixed:  "[Unit]\n# no PropagatesStopTo=\n[X-Cutover]\nSystemd=252\n",
	},
	find: socketStops,
}, {
	Rule: Rule{
		ID: "stop-when-unneeded", Severity: Error,
		Title: "StopWhenUnneeded= must be no",
		Why: "With yes systemd stops a unit that no other active unit wants or requires. A client that starts the service by its socket does not count, nor does `systemctl start`. " +
			"Only a unit that is enabled, such as with WantedBy=multi-user.target, stays.",
		Effect: "a service that is not enabled is stopped as soon as it has been started; its socket is closed when nothing needs it",
		Fix:    "no StopWhenUnneeded=",
		Bad:    "[Unit]\nStopWhenUnneeded=yes\n",
		Fixed:  "[Unit]\n# no StopWhenUnneeded=\n",
	},
	find: inAll(func(m *merged.Unit) []fault {
		if a, on := m.Is("Unit", "StopWhenUnneeded"); on {
			return wrongf(m, a, "StopWhenUnneeded=%s", a.Value)
		}
		return nil
	}),
}, {
	Rule: Rule{
		ID: "stopped-by-others", Severity: Warning,
		Title: "the end or the start of another unit should not stop the service",
		Why: "With BindsTo= or StopPropagatedFrom= (249) the service stops whenever the other unit ends, also by a crash. With Conflicts= it stops when the other unit starts. " +
			"systemd does not start it again afterwards. Requires= with After= waits for the other unit at the start, and the service outlives its crash.",
		Effect: "the service stops with the other unit, and its clients are refused until the service is started again",
		Fix:    "Requires= or Wants=, with After=",
		Bad:    "[Unit]\nBindsTo=database.service\n",
		Fixed:  "[Unit]\nWants=database.service\n",
	},
	find: stoppedByOthers,
}, {
	Rule: Rule{
		ID: "job-timeout", Severity: Error,
		Title: "JobTimeoutSec= must leave an upgrade and a drain their time",
		Why: "The timeout counts for each job of the unit: starts, stops and reloads. When it has passed, systemd gives the job up and systemctl fails. " +
			"The command of ExecReload= goes on all the same, and the upgrade goes well unnoticed. JobRunningTimeoutSec= is the same for the time in which the job runs.",
		Effect: "`systemctl reload` fails for an upgrade that goes well, and `systemctl stop` for a stop that does",
		Fix:    "no JobTimeoutSec=; TimeoutStartSec= and TimeoutStopSec= are the limits of the service",
		Bad:    "[Unit]\nJobTimeoutSec=5s\n",
		Fixed:  "[Unit]\n# no JobTimeoutSec=\n",
	},
	find: func(svc *service) (all []fault) {
		need := max(svc.program.ReadyTimeout+svc.program.Trial, svc.program.StopDrain+10*time.Second)
		for _, key := range []string{"JobTimeoutSec", "JobRunningTimeoutSec"} {
			a := svc.unit.Last("Unit", key)
			if d, err := unitfile.Span(a.Value); err == nil && d != 0 && d < need {
				all = append(all, wrongf(svc.unit, a, "%s=%s, a reload or a stop may take %v", key, a.Value, need)...)
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "runtime-max", Severity: Warning,
		Title: "RuntimeMaxSec= and LimitCPU= end a service that works",
		Why: "systemd stops the service when it has run for RuntimeMaxSec=, with Result=timeout, and restarts it as after a crash. The time counts from the start by systemd: an upgrade does not begin it anew. " +
			"LimitCPU= makes the kernel end a process that has used so much processor time, without a drain.",
		Effect: "the service is restarted again and again: connections are closed, and with LimitCPU= requests in work are cut off",
		Fix:    "no such line; `systemctl reload` replaces the process without a loss",
		Bad:    "[Service]\nRuntimeMaxSec=1d\n",
		Fixed:  "[Service]\n# no RuntimeMaxSec=\n",
	},
	find: func(svc *service) (all []fault) {
		if a, d := svc.span("RuntimeMaxSec", unitfile.Forever); d != unitfile.Forever && d != 0 {
			all = append(all, wrongf(svc.unit, a, "RuntimeMaxSec=%s", a.Value)...)
		}
		if a := svc.of("LimitCPU"); a.Value != "" && a.Value != "infinity" {
			all = append(all, wrongf(svc.unit, a, "LimitCPU=%s", a.Value)...)
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "failure-action", Severity: Error,
		Title: "the failure of one service must not stop the machine",
		Why: "FailureAction=, SuccessAction=, StartLimitAction= and JobTimeoutAction= reboot, power off or exit the system when the service ends, when the start limit is hit, or when a job times out. " +
			"A failure that Restart= would have mended counts, too. OnFailureJobMode=isolate stops all other units.",
		Effect: "a crash, or a stop, ends all services of the machine",
		Fix:    "none, which is the default",
		Bad:    "[Unit]\nFailureAction=reboot\n",
		Fixed:  "[Unit]\nFailureAction=none\n",
	},
	find: failureAction,
}, {
	Rule: Rule{
		ID: "final-kill-signal", Severity: Warning,
		Title:  "FinalKillSignal= must end a process that hangs",
		Why:    "When TimeoutStopSec= has passed, systemd sends FinalKillSignal= instead of SIGKILL. A signal that the program handles or ignores does not end it, and systemd gives up after a second TimeoutStopSec=.",
		Effect: "after a stop that one generation does not follow, the process is left over and keeps its sockets",
		Fix:    "no FinalKillSignal=",
		Bad:    "[Service]\nFinalKillSignal=SIGUSR1\n",
		Fixed:  "[Service]\n# no FinalKillSignal=\n",
	},
	find: func(svc *service) []fault { return svc.notDeadly("FinalKillSignal") },
}, {
	Rule: Rule{
		ID: "watchdog-signal", Severity: Warning,
		Title:  "WatchdogSignal= must end a process that hangs",
		Why:    "When the watchdog expires, systemd sends WatchdogSignal= and waits for TimeoutAbortSec=, which is TimeoutStopSec= if it is not set, before it sends SIGKILL. A Go program that hangs does not end by SIGTERM, SIGHUP or SIGUSR1.",
		Effect: "a program that hangs is not restarted before TimeoutAbortSec= has passed",
		Fix:    "no WatchdogSignal=",
		Bad:    "[Service]\nWatchdogSignal=SIGTERM\n",
		Fixed:  "[Service]\n# no WatchdogSignal=\n",
	},
	find: func(svc *service) []fault { return svc.notDeadly("WatchdogSignal") },
}, {
	Rule: Rule{
		ID: "reload-signal", Severity: Error,
		Title:  "ReloadSignal= must be SIGHUP",
		Why:    "With Type=notify-reload (253) systemd asks for a reload by ReloadSignal=. Package reexec takes SIGHUP for that. Other signals stop the program, or do nothing until TimeoutStartSec=.",
		Effect: "`systemctl reload` ends the program, or times out",
		Fix:    "no ReloadSignal=",
		Bad:    "[Service]\nType=notify-reload\nReloadSignal=SIGUSR1\n# no ExecReload=\n[X-Cutover]\nSystemd=257\n",
		Fixed:  "[Service]\nType=notify\nExecReload=/usr/bin/myapp reload\n[X-Cutover]\nSystemd=257\n",
	},
	find: func(svc *service) []fault {
		a := svc.of("ReloadSignal")
		if svc.of("Type").Value != "notify-reload" || isSignal(a.Value, "", "HUP", "1") {
			return nil
		}
		return wrongf(svc.unit, a, "ReloadSignal=%s", a.Value)
	},
}}

// notDeadly finds a signal that does not end a Go program.
func (svc *service) notDeadly(key string) []fault {
	a := svc.of(key)
	if a.Value == "" || cmdline.IsDeadly(a.Value) {
		return nil
	}
	return wrongf(svc.unit, a, "%s=%s", key, a.Value)
}

// socketStops finds dependencies by which a stop of the service stops its socket.
func socketStops(svc *service) (all []fault) {
	all = svc.each(func(s *merged.Unit) (faults []fault) {
		for _, a := range s.List("Unit", "PartOf", "BindsTo", "BindTo", "Requires", "Requisite", "StopPropagatedFrom") {
			if s.NamesUnit(a.Value, svc.unit.Names()) {
				faults = append(faults, wrongf(s, a, "%s=%s in the socket of %s", a.Key, a.Value, svc.unit.Name)...)
			}
		}
		return faults
	})
	for _, a := range svc.unit.List("Unit", "PropagatesStopTo") {
		stops := func(s *merged.Unit) bool { return svc.unit.NamesUnit(a.Value, s.Names()) }
		if slices.ContainsFunc(svc.sockets, stops) {
			all = append(all, wrongf(svc.unit, a, "PropagatesStopTo=%s", a.Value)...)
		}
	}
	return all
}

// stoppedByOthers finds dependencies on units that may end while the service works.
// Mounts, devices and slices are left out: without them the service cannot work.
func stoppedByOthers(svc *service) (all []fault) {
	for _, a := range svc.unit.List("Unit", "BindsTo", "BindTo", "StopPropagatedFrom", "Conflicts") {
		kinds := []string{"service", "socket", "path", "timer", "target"}
		if a.Key == "Conflicts" {
			kinds = kinds[:4] // a shutdown uses Conflicts=shutdown.target
		}
		for unit := range strings.FieldsSeq(a.Value) {
			if slices.Contains(kinds, merged.Kind(unit)) {
				all = append(all, wrongf(svc.unit, a, "%s=%s", a.Key, a.Value)...)
				break
			}
		}
	}
	return all
}

// failureAction finds what ends more than the service. The first three were in
// [Service] until 229, and systemd still reads two of them there.
func failureAction(svc *service) (all []fault) {
	for _, key := range []string{"FailureAction", "StartLimitAction", "SuccessAction", "JobTimeoutAction"} {
		a := svc.unit.LastOf(unitfile.Assignment{Section: "Unit", Key: key}, unitfile.Assignment{Section: "Service", Key: key})
		if cmp.Or(a.Value, "none") != "none" {
			all = append(all, wrongf(svc.unit, a, "%s=%s", key, a.Value)...)
		}
	}
	if a := svc.unit.Last("Unit", "OnFailureJobMode"); a.Value == "isolate" {
		all = append(all, wrongf(svc.unit, a, "OnFailureJobMode=isolate")...)
	}
	if a, on := svc.unit.Is("Unit", "OnFailureIsolate"); on {
		all = append(all, wrongf(svc.unit, a, "OnFailureIsolate=%s", a.Value)...)
	}
	return all
}
