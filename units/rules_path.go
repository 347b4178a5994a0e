package units

import (
	"path"
	"slices"

	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on the paths of unix sockets: below which directories they do not stay.

var pathRules = []*rule{{
	Rule: Rule{
		ID: "socket-path-removed", Severity: Error,
		Title: "a .socket unit's path must not lie in a RuntimeDirectory=",
		Why: "systemd removes RuntimeDirectory= with everything in it when the service stops, restarts or crashes, on all versions. " +
			"The .socket unit goes on listening, on a socket that has no path any more. " +
			"RuntimeDirectoryPreserve=restart keeps the directory over a restart and a crash, but not over a stop. With DynamicUser= it also closes the directory to all users but root.",
		Effect: "after the next restart, crash or stop of that service clients get \"no such file or directory\" until the .socket unit is restarted, while both units are active",
		Fix:    "RuntimeDirectory= with a directory that has no socket in it, such as myapp/control: systemd removes the last part only",
		Bad:    "[Socket]\nListenStream=/run/myapp/http.sock\n",
		Fixed:  "[Service]\nRuntimeDirectory=\nRuntimeDirectory=myapp/control\n[Socket]\nListenStream=/run/myapp/http.sock\n",
	},
	find: func(svc *service) (all []fault) {
		for _, p := range svc.systemdBinds() {
			for _, d := range svc.directories() {
				if d.removed && within(p.path, d.path) {
					all = append(all, wrongf(p.unit, p.at, "%s=%s lies in %s=%s of %s", p.at.Key, p.at.Value, d.at.Key, d.at.Value, d.of.Name)...)
				}
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "socket-path-private", Severity: Warning,
		Title: "a socket in a directory of DynamicUser= is for root alone",
		Why: "With DynamicUser= systemd makes StateDirectory=, CacheDirectory= and LogsDirectory= below a directory called private, which has mode 0700, and puts a link in their place. " +
			"A directory that is already there it moves. It does the same with RuntimeDirectory= if RuntimeDirectoryPreserve= is set.",
		Effect: "clients that are not root get \"permission denied\" once the service has started",
		Fix:    "a socket in a directory of the .socket unit, such as /run/myapp, or a User=",
		Bad:    "[Service]\nStateDirectory=myapp\n[Socket]\nListenStream=/var/lib/myapp/http.sock\n",
		Fixed:  "[Service]\nStateDirectory=myapp\n[Socket]\nListenStream=/run/myapp.sock\n",
	},
	find: func(svc *service) (all []fault) {
		for _, p := range append(svc.systemdBinds(), svc.programBinds()...) {
			for _, d := range svc.directories() {
				if d.private && within(p.path, d.path) && (p.unit != svc.unit || d.of == svc.unit) {
					all = append(all, wrongf(p.unit, p.at, "%s lies in %s=%s of %s, which has DynamicUser=", p.path, d.at.Key, d.at.Value, d.of.Name)...)
				}
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "bound-path-removed", Severity: Error,
		Title: "the path of a socket that the program binds must outlive the process",
		Why: "systemd removes RuntimeDirectory= with everything in it when the service restarts or crashes. The listener comes back from the fd store, but its path does not. " +
			"RuntimeDirectoryPreserve=restart keeps the directory until the service is stopped.",
		Effect: "after a restart or a crash clients get \"no such file or directory\"",
		Fix:    "RuntimeDirectoryPreserve=restart and a User=, or a .socket unit for the socket",
		Bad:    "[Service]\nExecStart=/usr/bin/myapp -admin unix:/run/myapp/admin.sock\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp -admin unix:/run/myapp/admin.sock\nDynamicUser=no\nUser=myapp\nRuntimeDirectoryPreserve=restart\n",
	},
	find: func(svc *service) (all []fault) {
		preserve := svc.of("RuntimeDirectoryPreserve").Value
		for _, p := range svc.programBinds() {
			for _, d := range directories(svc.unit) {
				if d.removed && preserve != "restart" && within(p.path, d.path) {
					all = append(all, wrongf(p.unit, p.at, "%s lies in %s=%s", p.path, d.at.Key, d.at.Value)...)
				}
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "socket-path-deleted", Severity: Error,
		Title: "no command may delete the path of a socket",
		Why: "Programs that bind a path themselves delete it before a start. Here the socket is open already: systemd has bound it for the .socket unit, or it comes back from the fd store. " +
			"It goes on listening, on a socket that has no path any more. The library deletes the path of a dead process itself.",
		Effect: "after the command has run, clients get \"no such file or directory\", while the units are active",
		Fix:    "no rm and no unlink of the path",
		Bad:    "[Service]\nExecStartPre=-/bin/rm -f /run/myapp.sock\n[Socket]\nListenStream=/run/myapp.sock\n",
		Fixed:  "[Service]\n# no ExecStartPre=\n[Socket]\nListenStream=/run/myapp.sock\n",
	},
	find: pathDeleted,
}, {
	Rule: Rule{
		ID: "bound-path-hidden", Severity: Error,
		Title: "clients must see the path of a socket that the program binds",
		Why: "PrivateTmp= gives the service a /tmp and a /var/tmp that no other process sees, and a new one at each restart. ProtectHome=tmpfs and TemporaryFileSystem= do so for other directories, and RootDirectory= and RootImage= for all of them but RuntimeDirectory= and its like. " +
			"A .socket unit binds its path outside the sandbox, so these settings do not hide it.",
		Effect: "clients get \"no such file or directory\"",
		Fix:    "a path below RuntimeDirectory= with RuntimeDirectoryPreserve=restart, or a .socket unit for the socket",
		Bad:    "[Service]\nExecStart=/usr/bin/myapp -admin unix:/tmp/admin.sock\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp -admin 127.0.0.1:8081\n",
	},
	find: func(svc *service) (all []fault) {
		for _, p := range svc.programBinds() {
			at, hidden := svc.hides(p.path)
			if !hidden {
				at, hidden = svc.otherRoot(p.path)
			}
			if hidden {
				all = append(all, wrongf(p.unit, p.at, "%s=%s hides %s", at.Key, at.Value, p.path)...)
			}
		}
		return all
	},
}}

// directories returns the directories that systemd makes for all services that are known,
// this one's first.
func (svc *service) directories() (all []directory) {
	all = directories(svc.unit)
	for _, m := range svc.others {
		if m.Name != svc.unit.Name && merged.Kind(m.Name) == "service" {
			all = append(all, directories(m)...)
		}
	}
	return all
}

// pathDeleted finds commands of the service that delete the path of a socket.
func pathDeleted(svc *service) (all []fault) {
	places := append(svc.systemdBinds(), svc.programBinds()...)
	for _, a := range svc.unit.Lists("Service", "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost") {
		steps, _ := cmdline.Parse(a.Value).Steps()
		for _, s := range steps {
			for _, word := range s.Removes() {
				name := path.Clean(svc.path(word))
				gone := func(p place) bool {
					matches, _ := path.Match(name, p.path) // a bad pattern matches nothing
					return matches || within(p.path, name)
				}
				if i := slices.IndexFunc(places, gone); i >= 0 {
					all = append(all, wrongf(svc.unit, a, "%s=%s deletes %s", a.Key, a.Value, places[i].path)...)
				}
			}
		}
	}
	return all
}
