package units

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/cmdline"
)

// Rules on the program that ExecStart= really starts.

var execRules = []*rule{{
	Rule: Rule{
		ID: "exec-start-shell", Severity: Error,
		Title: "a shell must not stay between systemd and the program",
		Why: "The shell is the main process, and the program its child: systemd ignores its messages (NotifyAccess=main), " +
			"the sockets are the shell's (LISTEN_PID), and a successor would be a child of the shell. " +
			"bash executes the last simple command of -c in its own process. dash, which is /bin/sh on Debian, does not, not even a lone one.",
		Effect: "READY=1 and MAINPID= are ignored, and sockets are not passed: the start fails",
		Fix:    "ExecStart= with the program itself, or exec before it in the shell's line",
		Bad:    "[Service]\nExecStart=/bin/sh -c 'ulimit -c 0; /usr/bin/myapp & wait'\n",
		Fixed:  "[Service]\nExecStart=/bin/sh -c 'ulimit -c 0; exec /usr/bin/myapp'\n",
	},
	find: func(svc *service) []fault {
		a, _, _, stays := svc.started()
		if stays != nil && stays.Shell && stays.File == "" {
			return wrongf(svc.unit, a, "ExecStart=%s: %s does not execute the program in its own process", a.Value, stays.Program)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exec-start-script", Severity: Warning,
		Title: "a script must end with exec and the program",
		Why: "A shell starts the last command of a script as its child and stays the main process. With exec the program takes its place. " +
			"exec with nothing but redirections does not end a script. A script that is not on this machine is named, too.",
		Effect: "without exec READY=1 and MAINPID= are ignored, and sockets are not passed: the start fails",
		Fix:    "ExecStart= with the program itself, or exec /usr/bin/myapp \"$@\" as the last line of the script",
		Bad:    "[Service]\nExecStart=/bin/sh /usr/lib/myapp/start.sh\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp\n",
	},
	find: func(svc *service) []fault {
		a, _, _, stays := svc.started()
		switch {
		case stays == nil || stays.File == "":
			return nil
		case stays.Unread:
			return wrongf(svc.unit, a, "%s is not on this machine: it must exec the program", stays.File)
		default:
			return wrongf(svc.unit, a, "%s does not exec the program", stays.File)
		}
	},
}, {
	Rule: Rule{
		ID: "exec-start-waits", Severity: Error,
		Title: "a program that waits for its child must not stay before the service",
		Why: "su, runuser, sudo, timeout, tini, dumb-init and their like start the program as a child and stay the main process, or end and leave it behind. " +
			"systemd ignores the messages of the child, and a successor would be a child of the waiting program. " +
			"env, nice, setpriv, chroot, stdbuf, taskset, prlimit and flock --no-fork execute the program in their own process.",
		Effect: "READY=1 and MAINPID= are ignored, and sockets are not passed: the start fails",
		Fix:    "User=, TimeoutStopSec=, LimitNOFILE= and the like, which do the same without another process, or setpriv for su, runuser and sudo",
		Bad:    "[Service]\nExecStart=/usr/sbin/runuser -u www -- /usr/bin/myapp\n",
		Fixed:  "[Service]\nDynamicUser=no\nUser=www\nExecStart=/usr/bin/myapp\n",
	},
	find: func(svc *service) []fault {
		a, _, _, stays := svc.started()
		if stays != nil && !stays.Shell {
			return wrongf(svc.unit, a, "ExecStart=%s: %s stays the main process or ends, and the program is its child", a.Value, stays.Program)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exec-start-launcher", Severity: Warning,
		Title: "a program before the service must execute it in its own process",
		Why: "ExecReload= names the program, and ExecStart= has it as an argument of another program that sdunits does not know. If that one executes the program, all is well. " +
			"If it starts a child and waits, systemd ignores the messages of the child, and a successor would be a child of the waiting program.",
		Effect: "if the other program stays, READY=1 and MAINPID= are ignored, and sockets are not passed: the start fails",
		Fix:    "ExecStart= with the program itself, or nothing if the other program executes it",
		Bad:    "[Service]\nExecStart=/opt/launcher/run -- /usr/bin/myapp\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp\n",
	},
	find: func(svc *service) []fault {
		a, _, last, stays := svc.started()
		if stays != nil || len(last) < 2 || strings.Contains(last[0], "$") || usesLibrary(filepath.Join(svc.root, last[0])) {
			return nil
		}
		for _, r := range svc.unit.List("Service", "ExecReload") {
			program := cmdline.Parse(r.Value).Binary()
			if path.IsAbs(program) && program != last[0] && slices.Contains(last[1:], program) {
				return wrongf(svc.unit, a, "ExecStart=%s: %s starts %s", a.Value, last[0], program)
			}
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exec-start-name", Severity: Error,
		Title: "argv[0] must be the path of the program",
		Why: "With the prefix @ the second word is the name by which the program is called, and so is the word after exec -a of a shell. The library takes the path by which systemd executed the program, so upgrades go well. " +
			"A program that looks for its own file by os.Args[0] finds none, or another program of that name in PATH. So does a program that was built with a version of the library that looks up os.Args[0].",
		Effect: "a program that looks itself up by its name does not start, or an upgrade starts another program",
		Fix:    "ExecStart= without @ and without the name",
		Bad:    "[Service]\nExecStart=@/usr/bin/myapp mysvc\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp\n",
	},
	find: func(svc *service) []fault {
		a, start := svc.binary()
		name, ok := start.Name()
		program := start.Binary()
		if !ok {
			name, program, ok = cmdline.Renamed(start.Text(svc.root))
		}
		if ok && name != program {
			return wrongf(svc.unit, a, "ExecStart=%s: argv[0] is %q, not %s", a.Value, name, program)
		}
		return nil
	},
}}
