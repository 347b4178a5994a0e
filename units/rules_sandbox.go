package units

import (
	"path"
	"strings"
)

// Rules on the sandbox: the library needs some calls, paths and processes.

var sandboxRules = []*rule{{
	Rule: Rule{
		ID: "address-families", Severity: Error,
		Title: "RestrictAddressFamilies= must allow AF_UNIX",
		Why: "Notifications and the control socket are unix sockets. Without the family socket() fails with EAFNOSUPPORT, READY=1 never arrives, and the start times out. " +
			"Inherited sockets of other families work without being allowed.",
		Effect: "READY=1 is never sent: the start times out",
		Fix:    "RestrictAddressFamilies=AF_UNIX and the families of the sockets that the program opens itself",
		Bad:    "[Service]\nRestrictAddressFamilies=AF_INET AF_INET6\n",
		Fixed:  "[Service]\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n",
	},
	find: func(svc *service) []fault {
		lines := svc.unit.List("Service", "RestrictAddressFamilies")
		if len(lines) == 0 || newFilter(lines, familyNames).allows("AF_UNIX") {
			return nil
		}
		a := lines[len(lines)-1]
		return wrongf(svc.unit, a, "RestrictAddressFamilies=%s", a.Value)
	},
}, {
	Rule: Rule{
		ID: "system-calls", Severity: Error,
		Title: "SystemCallFilter= must allow the system calls of an upgrade",
		Why: "The predecessor starts a process (clone, execve, pipe2), passes descriptors (socketpair, sendmsg, recvmsg, dup3, fcntl) and saved state (memfd_create), and watches it (pidfd_send_signal, waitid). " +
			"All of that is in @system-service, and stays there with ~@privileged @resources.",
		Effect: "the upgrade fails, or the process that tries one is killed by SIGSYS",
		Fix:    "SystemCallFilter=@system-service",
		Bad:    "[Service]\nSystemCallFilter=~@process\n",
		Fixed:  "[Service]\nSystemCallFilter=@system-service\n",
	},
	find: func(svc *service) []fault {
		lines := svc.unit.List("Service", "SystemCallFilter")
		filter := newFilter(lines, callGroups)
		var taken []string
		for _, call := range neededCalls {
			if !filter.allows(call) {
				taken = append(taken, call)
			}
		}
		if len(lines) == 0 || len(taken) == 0 {
			return nil
		}
		a := lines[len(lines)-1]
		return wrongf(svc.unit, a, "SystemCallFilter=%s takes away %s", a.Value, strings.Join(taken, ", "))
	},
}, {
	Rule: Rule{
		ID: "private-pids", Severity: Warning,
		Title: "with PrivatePIDs= upgrades go in place",
		Why: "The program is PID 1 of a new namespace (257). A PID 1 cannot start a process as a child of the manager (CLONE_PARENT is EINVAL), and a successor would end with it; " +
			"so it executes the new program in its own place. Programs that read LISTEN_PID themselves do not find their sockets on 257 and 258.",
		Effect: "the service does not answer while the new program starts, and a failure after the exec is not undone",
		Fix:    "no PrivatePIDs=",
		Bad:    "[Service]\nPrivatePIDs=yes\n[X-Cutover]\nSystemd=257\n",
		Fixed:  "[Service]\n# no PrivatePIDs=\n[X-Cutover]\nSystemd=257\n",
	},
	find: func(svc *service) []fault {
		if a, on := svc.on("PrivatePIDs"); on {
			return wrongf(svc.unit, a, "PrivatePIDs=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "private-network", Severity: Error,
		Title:  "PrivateNetwork= is for programs whose sockets all come from systemd",
		Why:    "Listeners that systemd passes stay in the network of the host. Sockets that the program opens itself are in a new network that has only a loopback interface.",
		Effect: "clients cannot reach the sockets that the program binds itself",
		Fix:    "no PrivateNetwork=, or a .socket unit for each socket",
		Bad:    "[Service]\nPrivateNetwork=yes\n[X-Cutover]\nNetwork=yes\n",
		Fixed:  "[Service]\nPrivateNetwork=yes\n[X-Cutover]\nNetwork=no\n",
	},
	find: func(svc *service) []fault {
		a, on := svc.on("PrivateNetwork")
		chosen := svc.of("NetworkNamespacePath").Value != "" || len(svc.unit.List("Unit", "JoinsNamespaceOf")) > 0
		if on && (svc.program.Network || len(svc.sockets) == 0) && !chosen {
			return wrongf(svc.unit, a, "PrivateNetwork=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exec-paths", Severity: Error,
		Title: "ExecPaths= must name the directory of the binary, not the file",
		Why: "systemd makes a mount for each path. The mount of a file goes away when a package upgrade renames a new file over it: " +
			"what then lies there belongs to NoExecPaths=. systemd follows a link to a release once, at the start: the next release is not in ExecPaths=.",
		Effect: "after the binary is replaced it cannot be executed: upgrades fail, \"permission denied\"",
		Fix:    "ExecPaths= with the directory that the binary is in, and those of its libraries",
		Bad:    "[Service]\nNoExecPaths=/\nExecPaths=/usr/bin/myapp /usr/lib\n[X-Cutover]\nSystemd=252\n",
		Fixed:  "[Service]\nNoExecPaths=/\nExecPaths=/usr/bin /usr/lib\n[X-Cutover]\nSystemd=252\n",
	},
	find: func(svc *service) (all []fault) {
		for _, program := range svc.programs() {
			no, noAt := covering(svc.unit, program, "NoExecPaths")
			yes, yesAt := covering(svc.unit, program, "ExecPaths")
			switch {
			case no != "" && yes != program && within(program, yes) && within(path.Dir(svc.linkIn(yes)), no):
				all = append(all, wrongf(svc.unit, yesAt, "ExecPaths=%s goes through the link %s, and NoExecPaths=%s has the next release in it", yes, svc.linkIn(yes), no)...)
			case no == "" || len(yes) >= len(no) && yes != program:
			case yes == program:
				all = append(all, wrongf(svc.unit, yesAt, "ExecPaths=%s is the file itself", yes)...)
			default:
				all = append(all, wrongf(svc.unit, noAt, "NoExecPaths=%s has %s in it", no, program)...)
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "binary-pinned", Severity: Error,
		Title: "the binary must not be mounted as a file",
		Why: "BindPaths= and BindReadOnlyPaths= of a file mount the file that is there at the start. A package upgrade puts another one in its place outside; " +
			"inside, the old one stays until the next restart.",
		Effect: "an upgrade starts the old program again, and says success",
		Fix:    "the directory of the binary in BindReadOnlyPaths=",
		Bad:    "[Service]\nTemporaryFileSystem=/usr/bin\nBindReadOnlyPaths=/usr/bin/myapp\n",
		Fixed:  "[Service]\nTemporaryFileSystem=/usr/local\nBindReadOnlyPaths=/usr/bin\n",
	},
	find: func(svc *service) (all []fault) {
		_, start := svc.binary()
		for _, b := range binds(svc.unit) {
			if b.target == start.Binary() && (b.source != b.target || svc.rooted(b.target)) {
				all = append(all, fault{svc.unit, b.at, b.at.Key + "=" + b.at.Value + " is the binary"})
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "binary-hidden", Severity: Error,
		Title: "the sandbox must not hide the binary",
		Why: "ProtectHome=, PrivateTmp=, InaccessiblePaths= and TemporaryFileSystem= hide directories. The service does not find a binary of ExecStart= or ExecReload= below one. " +
			"ProtectSystem= is no harm: it makes directories read-only, and a new binary in them can be executed.",
		Effect: "the start fails with 203/EXEC, and so does a successor or the reload command",
		Fix:    "a binary in /usr, /usr/local or /opt",
		Bad:    "[Service]\nExecStart=/home/deploy/myapp\nExecReload=/home/deploy/myapp reload\nProtectHome=yes\n",
		Fixed:  "[Service]\nExecStart=/opt/myapp/myapp\nExecReload=/opt/myapp/myapp reload\nProtectHome=yes\n",
	},
	find: func(svc *service) (all []fault) {
		for _, program := range svc.programs() {
			if at, hidden := svc.hides(program); hidden {
				all = append(all, wrongf(svc.unit, at, "%s=%s hides %s", at.Key, at.Value, program)...)
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "notify-hidden", Severity: Error,
		Title:  "the sandbox must not hide systemd's notification socket",
		Why:    "NOTIFY_SOCKET names /run/systemd/notify. Where something empty lies over /run, or the path is made inaccessible, nothing can be sent there.",
		Effect: "READY=1 does not arrive: the start times out",
		Fix:    "BindReadOnlyPaths=/run/systemd/notify beside it",
		Bad:    "[Service]\nTemporaryFileSystem=/run\n",
		Fixed:  "[Service]\nTemporaryFileSystem=/run\nBindReadOnlyPaths=/run/systemd/notify\n",
	},
	find: func(svc *service) []fault {
		if at, hidden := svc.hides("/run/systemd/notify"); hidden {
			return wrongf(svc.unit, at, "%s=%s hides /run/systemd/notify", at.Key, at.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "root-directory", Severity: Error,
		Title:  "before 248 the notification socket is not in RootDirectory= or RootImage=",
		Why:    "248 began to mount it there. 247, of Debian 11, does not.",
		Effect: "on 247 READY=1 does not arrive: the start times out",
		Fix:    "BindReadOnlyPaths=/run/systemd/notify beside it",
		Bad:    "[Service]\nRootDirectory=/srv/myapp\n",
		Fixed:  "[Service]\nRootDirectory=/srv/myapp\nBindReadOnlyPaths=/run/systemd/notify\n",
	},
	find: func(svc *service) (all []fault) {
		for _, key := range []string{"RootDirectory", "RootImage"} {
			if a := svc.of(key); a.Value != "" && svc.systemd < 248 && !bound(svc.unit, "/run/systemd/notify") {
				all = append(all, fault{svc.unit, a, key + "=" + a.Value})
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "root-image", Severity: Error,
		Title:  "an image is mounted once, at the start",
		Why:    "With RootImage=, ExtensionImages= or ExtensionDirectories= the service lives in the image of its start. A new one comes with a restart only (RefreshOnReload= of 260 is for extensions).",
		Effect: "an upgrade starts the old program again, and says success",
		Fix:    "the program outside of images, or `systemctl restart` for upgrades",
		Bad:    "[Service]\nRootImage=/srv/myapp.raw\n[X-Cutover]\nSystemd=252\n",
		Fixed:  "[Service]\nRootDirectory=/srv/myapp\n[X-Cutover]\nSystemd=252\n",
	},
	find: func(svc *service) (all []fault) {
		images := svc.unit.Lists("Service", "ExtensionImages", "ExtensionDirectories")
		if a := svc.of("RootImage"); a.Value != "" {
			images = append(images, a)
		}
		for _, a := range images {
			all = append(all, fault{svc.unit, a, a.Key + "=" + a.Value})
		}
		return all
	},
}}
