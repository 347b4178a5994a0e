package units

import (
	"path"
	"path/filepath"
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

// An obstacle is a program that stays between systemd and the daemon.
type obstacle struct {
	program string
	shell   bool   // a shell whose line has no exec
	file    string // a script, "" for none
	unread  bool   // the script cannot be read here
}

// A follower goes from one program to the next.
type follower struct {
	root string // of the files
	left int    // the steps that remain: a script may execute itself
}

// started returns the last ExecStart= line, the program that it executes in the end, and the
// program that stays between systemd and it, nil if none is known.
func (c *contract) started() (at unitfile.Assignment, start command, last []string, stays *obstacle) {
	at, start = c.binary()
	switch {
	case strings.Contains(start.prefix, "|"):
		return at, start, nil, &obstacle{program: "the shell of User=", shell: true}
	case c.isDaemon(start):
		return at, start, start.argv, nil
	}
	last, stays = c.follow(start.argv)
	return at, start, last, stays
}

// isDaemon reports whether a command is the daemon itself, also if its name is that of another
// program: ExecReload= asks a program of the library in one word.
func (c *contract) isDaemon(start command) bool {
	name := start.binary()
	if !path.IsAbs(name) || slices.Contains(shells, path.Base(name)) {
		return false
	}
	if usesLibrary(filepath.Join(c.root, name)) {
		return true
	}
	asks := func(a unitfile.Assignment) bool {
		argv := parseCommand(a.Value).argv
		return len(argv) == 2 && argv[0] == name && !isOption(argv[1]) && !path.IsAbs(argv[1])
	}
	return slices.ContainsFunc(c.service.list("Service", "ExecReload"), asks) && !slices.ContainsFunc(start.argv[1:], path.IsAbs)
}

// follow returns the program that argv executes in the end, and the program that stays between
// systemd and it, nil if none is known.
func (c *contract) follow(argv []string) (last []string, stays *obstacle) {
	return (&follower{c.root, 16}).follow(argv)
}

func (f *follower) follow(argv []string) (last []string, stays *obstacle) {
	for ; f.left > 0; f.left-- {
		if len(argv) == 0 {
			return nil, nil
		}
		name := path.Base(argv[0])
		if name == "busybox" && len(argv) > 1 {
			argv = argv[1:]
			continue
		}
		if slices.Contains(shells, name) {
			f.left--
			return f.followShell(argv)
		}
		if slices.Contains(waiters, name) {
			return nil, &obstacle{program: name}
		}
		next, executes, known := unwrap(name, argv[1:])
		if !known {
			f.left--
			return f.followFile(argv)
		}
		if !executes {
			return nil, &obstacle{program: name}
		}
		argv = next
	}
	return nil, nil
}

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
			return append(wordsOf(value), args[1:]...), executes, true
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
