package cmdline

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Programs that start the program in their arguments. Some execute it in their own process,
// others start a child and wait for it, and others start a child and exit.

// A wrapper is a program that executes the rest of its arguments in its own process.
type wrapper struct {
	values   string // options whose value is the next word
	operands int    // words between the options and the program
	waits    string // options with which it stays or forks
	needs    string // options without which it stays or forks
}

// wrappers are programs of coreutils, util-linux and supervisors. A test runs each one that the
// machine has, and compares the process that it starts with this list.
var wrappers = map[string]wrapper{
	"env":           {values: "-u --unset -C --chdir"},
	"nice":          {values: "-n --adjustment"},
	"ionice":        {values: "-c --class -n --classdata"},
	"chrt":          {values: "-T -P -D --sched-runtime --sched-period --sched-deadline", operands: 1},
	"taskset":       {operands: 1},
	"uclampset":     {values: "-m -M"},
	"choom":         {values: "-n --adjust"},
	"prlimit":       {},
	"numactl":       {values: "-i -N -C -m -p --interleave --cpunodebind --physcpubind --membind --preferred"},
	"setpriv":       {values: "--reuid --regid --ruid --euid --rgid --egid --groups --inh-caps --ambient-caps --bounding-set --securebits --selinux-label --apparmor-profile --pdeathsig"},
	"chroot":        {operands: 1},
	"stdbuf":        {values: "-i -o -e --input --output --error"},
	"nohup":         {},
	"setarch":       {},
	"linux32":       {},
	"linux64":       {},
	"i386":          {},
	"x86_64":        {},
	"unshare":       {values: "-S -G --setuid --setgid -R --root -w --wd", waits: "-f --fork --kill-child"},
	"nsenter":       {values: "-t --target -S -G --setuid --setgid", waits: "-p --pid -a --all"},
	"flock":         {values: "-E -w --timeout --wait", operands: 1, needs: "-F --no-fork"},
	"strace":        {values: "-e -o -s -u -E -P -a -S -O", needs: "-D -DD -DDD --daemonize"},
	"systemd-cat":   {values: "-t --identifier -p --priority --stderr-priority"},
	"gosu":          {operands: 1},
	"su-exec":       {operands: 1},
	"setuidgid":     {operands: 1},
	"s6-setuidgid":  {operands: 1},
	"envdir":        {operands: 1},
	"s6-envdir":     {operands: 1},
	"chpst":         {values: "-u -U -e -n -l -L -o -p -f -c -d -m -r -t -/ -b"},
	"runcon":        {values: "-t -u -r -l"},
	"faketime":      {values: "-f", operands: 1},
	"systemd-creds": {waits: "-h"},
	"systemd-run": {values: "-p --property -u --unit --slice --uid --gid --nice -E --setenv --description --on-active --on-boot --on-startup --on-calendar " +
		"--on-unit-active --on-unit-inactive --working-directory -H --host -M --machine --service-type --path-property --socket-property --timer-property", needs: "--scope"},
	"authbind":     {values: "--depth"},
	"aa-exec":      {values: "-p --profile -n --namespace"},
	"setlock":      {operands: 1},
	"softlimit":    {values: "-m -a -d -s -l -o -p -f -c -r -t"},
	"s6-softlimit": {values: "-m -a -d -s -l -o -p -f -c -r -t"},
	"proxychains4": {values: "-f"},
	"chamber":      {},
	"direnv":       {operands: 2},
	"eatmydata":    {},
	"ssh-agent":    {values: "-a -E -O -P -t"},
	"cgexec":       {values: "-g"},
}

// waiters start a child. They stay the main process while the child serves, or exit before it.
var waiters = strings.Fields("su runuser sudo doas pkexec timeout time tini tini-static dumb-init catatonit docker-init s6-svscan runsv runsvdir supervisord supervise svscan " +
	"setsid script screen tmux dtach abduco daemonize daemon xargs parallel watch unbuffer expect rlwrap fakeroot systemd-inhibit systemd-nspawn firejail " +
	"docker podman nerdctl catchsegv cpulimit ltrace perf gdb rr go dlv air reflex watchexec entr nodemon " +
	"sg newgrp login machinectl bwrap nsjail minijail0 proot runc crun conmon lxc-execute dbus-run-session xvfb-run foreman honcho hivemind overmind forego s6-supervise pm2 forever monit circusd " +
	"chronic logsave envconsul consul-template doppler op teller infisical berglas vals")

// unwrap returns the program that a wrapper called name starts. executes says that the wrapper
// does so in its own process.
func unwrap(name string, args []string) (next []string, executes, known bool) {
	switch name {
	case "ip":
		if len(args) > 3 && (args[0] == "netns" || args[0] == "vrf") && args[1] == "exec" {
			return args[3:], true, true
		}
		return nil, false, false
	case "start-stop-daemon":
		return unwrapDaemon(args)
	case "capsh": // what follows -- are arguments of bash
		if i := slices.Index(args, "--"); i >= 0 {
			return append([]string{"/bin/bash"}, args[i+1:]...), true, true
		}
		return nil, true, true
	case "setarch": // the architecture comes first, or not at all
		if len(args) > 0 && !isOption(args[0]) {
			args = args[1:]
		}
	}
	w, known := wrappers[name]
	if !known {
		return nil, false, false
	}
	has := func(options string, arg string) bool { return slices.Contains(strings.Fields(options), arg) }
	executes = w.needs == ""
	for len(args) > 0 {
		option, value, joined := strings.Cut(args[0], "=")
		switch {
		case args[0] == "--":
			return drop(args[1:], w.operands), executes, true
		case name == "env" && (option == "-S" || option == "--split-string"):
			if !joined && len(args) > 1 {
				value, args = args[1], args[1:]
			}
			words, _ := unitfile.Words(value) // env ends an open quote with an error
			return append(words, args[1:]...), executes, true
		case name == "env" && isAssignment(args[0]):
		case !strings.HasPrefix(args[0], "-"):
			return drop(args, w.operands), executes, true
		case has(w.waits, option) || clustered(args[0], w.waits):
			executes = false
		case has(w.needs, option):
			executes = true
		case !joined && has(w.values, option) && len(args) > 1:
			args = args[1:]
		}
		args = args[1:]
	}
	return nil, executes, true
}

// clustered reports whether one of options is a letter of several in arg, as in -fp.
func clustered(arg, options string) bool {
	if len(arg) < 2 || arg[0] != '-' || arg[1] == '-' {
		return false
	}
	return slices.ContainsFunc(strings.Fields(options), func(o string) bool { return len(o) == 2 && strings.Contains(arg[1:], o[1:]) })
}

func drop(args []string, n int) []string { return args[min(n, len(args)):] }

// unwrapDaemon is unwrap for start-stop-daemon, which forks with --background only.
func unwrapDaemon(args []string) (next []string, executes, known bool) {
	executes = true
	for i, arg := range args {
		switch {
		case arg == "-b" || arg == "--background":
			executes = false
		case (arg == "-x" || arg == "--exec" || arg == "-a" || arg == "--startas") && i+1 < len(args):
			next = args[i+1 : i+2]
		case arg == "--":
			return slices.Concat(next, args[i+1:]), executes, true
		}
	}
	return next, executes, true
}
