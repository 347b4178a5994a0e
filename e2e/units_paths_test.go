package e2e

import (
	"github.com/cutover-go/cutover/units"
)

// betweenThem has another program stay between systemd and the service.
func betweenThem(line string) string { return "[Service]\nExecStart=\nExecStart=" + line + short }

// failuresToStay are of units whose sockets lose their paths, or whose program is not the
// one that systemd starts.
var failuresToStay = []mishap{
	{rule: "socket-path-removed", dropIn: "[Socket]\nListenStream=/run/cutover-http/http.sock\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.path("/run/cutover-http/http.sock", true)
		s.must(s.machine.Restart(s.ctx, unitName))
		s.path("/run/cutover-http/http.sock", false)
		if state := s.showOf("cutover-http.socket", "ActiveState"); state != "active" {
			s.Errorf("the .socket unit is %s, want it active without its path", state)
		}
	}},
	{rule: "socket-path-private", change: func(d *units.Daemon) { d.Sockets[0].Listen = []string{"/var/lib/cutover-http/http.sock"} },
		dropIn: "[Service]\nStateDirectory=cutover-http\n", happens: func(s *site) {
			defer s.run("rm", "-r", "/var/lib/cutover-http", "/var/lib/private/cutover-http")
			s.must(s.machine.Start(s.ctx, "cutover-http.socket"))
			s.path("/var/lib/cutover-http/http.sock", true)
			s.must(s.machine.Start(s.ctx, unitName))
			s.path("/var/lib/cutover-http/http.sock", false)
		}},
	{rule: "bound-path-removed", change: bindsPath("/run/cutover-http/http.sock"), dropIn: "[Service]\nRuntimeDirectoryPreserve=no\n", happens: func(s *site) {
		s.deploy(program(s, "./testdata/ports", "v1"))
		s.must(s.machine.Start(s.ctx, unitName))
		s.path("/run/cutover-http/http.sock", true)
		s.must(s.machine.Restart(s.ctx, unitName))
		s.path("/run/cutover-http/http.sock", false)
	}},
	{rule: "socket-path-deleted", change: func(d *units.Daemon) { d.Sockets[0].Listen = []string{"/run/cutover-test.sock"} },
		dropIn: "[Service]\nExecStartPre=+/bin/rm -f /run/cutover-test.sock\n", happens: func(s *site) {
			s.must(s.machine.Start(s.ctx, "cutover-http.socket"))
			s.path("/run/cutover-test.sock", true)
			s.must(s.machine.Start(s.ctx, unitName))
			s.path("/run/cutover-test.sock", false)
			if state := s.showOf("cutover-http.socket", "ActiveState"); state != "active" {
				s.Errorf("the .socket unit is %s, want it active without its path", state)
			}
		}},
	{rule: "release-mounted", change: selfBound, dropIn: "[Service]\nBindReadOnlyPaths=/srv/app/current:/opt/app\n" +
		"ExecStart=\nExecStart=/opt/app/app\nExecReload=\nExecReload=/opt/app/app reload\n", happens: func(s *site) {
		defer s.run("rm", "-r", "/srv/app", "/opt/app")
		s.deployRelease("1")
		s.must(s.machine.Start(s.ctx, unitName))
		s.deployRelease("2")
		s.must(s.machine.CopyFile(example(s, "v2"), "/srv/app/releases/2/app"))
		s.must(s.machine.Reload(s.ctx, unitName))
		if a := s.get("/"); a.version != "v1" || a.generation != 2 {
			s.Errorf("%+v answers, want the old program again", a)
		}
	}},
	{rule: "exec-paths", since: 248, change: selfBound, dropIn: "[Service]\nNoExecPaths=/\nExecPaths=/srv/app/current\n" +
		"ExecStart=\nExecStart=/srv/app/current/app\nExecReload=\nExecReload=/srv/app/current/app reload\n", happens: func(s *site) {
		defer s.run("rm", "-r", "/srv/app")
		s.deployRelease("1")
		s.must(s.machine.Start(s.ctx, unitName))
		s.deployRelease("2")
		if err := s.machine.Reload(s.ctx, unitName); err == nil {
			s.Errorf("the reload goes well: %+v answers, want a program that may not be executed", s.get("/"))
		}
	}},
	{rule: "exec-start-waits", change: selfBound, dropIn: betweenThem("/usr/bin/timeout 600 " + binaryPath), happens: doesNotStart("timeout")},
	{rule: "exec-start-script", change: selfBound, dropIn: betweenThem("/bin/sh /run/start-cutover.sh"), happens: func(s *site) {
		s.must(s.machine.WriteFile("/run/start-cutover.sh", []byte(binaryPath+"\n"), 0o755))
		doesNotStart("timeout")(s)
	}},
	{rule: "exec-start-launcher", change: selfBound, dropIn: betweenThem("/usr/local/bin/launcher 600 " + binaryPath), happens: func(s *site) {
		defer s.run("rm", "/usr/local/bin/launcher")
		s.run("cp", "/usr/bin/timeout", "/usr/local/bin/launcher")
		doesNotStart("timeout")(s)
	}},
	{rule: "unknown-name", change: selfBound, dropIn: "[service]\nKillMode=mixed\n", happens: shows(map[string]string{"KillMode": "control-group"})},
	{rule: "bound-path-hidden", change: bindsPath("/tmp/http.sock"), dropIn: "[Service]\nPrivateTmp=yes\n", happens: func(s *site) {
		s.deploy(program(s, "./testdata/ports", "v1"))
		s.must(s.machine.Start(s.ctx, unitName))
		s.path("/tmp/http.sock", false)
	}},
	{rule: "bound-path-hidden", change: bindsPath("/srv/http.sock"), dropIn: "[Service]\nRootDirectory=/run/jail\nMountAPIVFS=yes\n" +
		"BindReadOnlyPaths=/usr /etc /run/systemd/notify\n", happens: func(s *site) {
		defer s.run("rm", "-r", "/run/jail")
		s.run("sh", "-c", "mkdir -p /run/jail/usr /run/jail/etc; install -d -o nobody /run/jail/srv")
		s.deploy(program(s, "./testdata/ports", "v1"))
		s.must(s.machine.Start(s.ctx, unitName))
		s.path("/srv/http.sock", false)
		s.path("/run/jail/srv/http.sock", true)
	}},
}

// bindsPath has the program ports bind path itself.
func bindsPath(path string) func(*units.Daemon) {
	return func(d *units.Daemon) {
		selfBound(d)
		d.User, d.Args = "nobody", []string{"http=unix=" + path}
	}
}

// path expects that users who are not root find a socket at path, or do not.
func (s *site) path(path string, want bool) {
	s.Helper()
	if _, ok := s.run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "test", "-S", path); ok != want {
		s.Errorf("%s: there is a socket: %v, want %v", path, ok, want)
	}
}
