package e2e

import (
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/units"
)

// failuresToBelong are faults of units: a process leaves the unit, runs as another user than
// its helpers, or shares a resource with another service.
var failuresToBelong = []mishap{
	{rule: "pam-name", change: asUser("nobody"), dropIn: "[Service]\nPAMName=cutover-session\nRestart=no\n", happens: func(s *site) {
		// As pam_systemd does, which needs systemd-logind.
		s.must(s.machine.WriteFile("/etc/pam.d/cutover-session", []byte("auth required pam_permit.so\naccount required pam_permit.so\n"+
			"session required pam_exec.so seteuid /bin/sh /usr/local/bin/leave\n"), 0o644))
		s.must(s.machine.WriteFile("/usr/local/bin/leave", []byte("mkdir -p "+sessionGroup+"; echo $PPID > "+sessionGroup+"/cgroup.procs\n"), 0o755))
		defer s.run("sh", "-c", "echo 1 > "+sessionGroup+"/cgroup.kill")
		s.must(s.machine.Start(s.ctx, unitName))
		err := s.machine.Reload(s.ctx, unitName)
		if a, failed := s.tryGet("/"); err == nil && failed == nil && a.generation == 2 && s.mainPID() == a.pid {
			s.Errorf("the upgrade went well: %+v answers", a)
		}
	}},
	{rule: "outside-cgroup", change: asUser("root"), dropIn: "[Service]\nRestart=no\nExecStart=\nExecStart=/bin/sh -c " +
		"'mkdir -p " + sessionGroup + "; echo $$$$ > " + sessionGroup + "/cgroup.procs; exec " + binaryPath + "'\n", happens: func(s *site) {
		defer s.run("sh", "-c", "echo 1 > "+sessionGroup+"/cgroup.kill")
		s.must(s.machine.Start(s.ctx, unitName))
		s.background("/sleep?d=60s")
		first := s.mainPID()
		s.must(s.machine.Reload(s.ctx, unitName))
		s.must(s.machine.Stop(s.ctx, unitName))
		if _, there := s.run("test", "-d", "/proc/"+strconv.Itoa(first)); !there {
			s.Errorf("process %d, which drains, has ended with the service, want it left behind", first)
		}
	}},
	{rule: "outside-cgroup", change: asUser("root"), dropIn: "[Service]\nRestart=no\nExecStart=\nExecStart=/usr/bin/systemd-run --scope --quiet --unit=left " + binaryPath + "\n", happens: func(s *site) {
		defer s.run("systemctl", "kill", "-s", "KILL", "left.scope")
		s.must(s.machine.Start(s.ctx, unitName))
		if group, err := s.machine.ReadProc(s.mainPID(), "cgroup"); err != nil || !strings.Contains(string(group), "/left.scope") {
			s.Errorf("the main process is in %s, %v, want left.scope", group, err)
		}
	}},
	{rule: "runtime-directory-shared", change: asUser("root"), dropIn: "[Service]\nRestart=no\n",
		other: "[Service]\nType=notify\nExecStart=" + binaryPath + " -addr 127.0.0.1:8099\nRuntimeDirectory=cutover-http\n", happens: func(s *site) {
			s.must(s.machine.Start(s.ctx, unitName))
			s.must(s.machine.Reload(s.ctx, unitName))
			_ = s.machine.Start(s.ctx, "other.service") // whether it starts or not, it ends
			s.must(s.machine.Stop(s.ctx, "other.service"))
			if err := s.machine.Reload(s.ctx, unitName); err == nil {
				s.Error("the reload goes well without a control socket")
			}
		}},
	{rule: "user-changed", change: asUser("root"),
		dropIn:  "[Service]\nExecStart=\nExecStart=/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups " + binaryPath + short,
		happens: doesNotStart("exit-code")},
	{rule: "user-changed", change: asUser("nobody"), dropIn: "[Service]\nExecStart=\nExecStart=+" + binaryPath + "\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.reloads(1)
	}},
	{rule: "environment", dropIn: "[Service]\nUnsetEnvironment=NOTIFY_SOCKET" + short, happens: doesNotStart("timeout")},
	{rule: "environment", change: selfBound, dropIn: betweenThem("/usr/bin/env -u NOTIFY_SOCKET " + binaryPath), happens: doesNotStart("timeout")},
	{rule: "environment", dropIn: "[Service]\nUnsetEnvironment=MAINPID\nEnvironment=RUNTIME_DIRECTORY=/run/elsewhere" + short,
		happens: doesNotStart("exit-code", "timeout")},
	{rule: "socket-stdin", dropIn: "[Service]\nStandardOutput=socket" + short, happens: doesNotStart("exit-code", "protocol", "signal")},
	// The kernel counts the processes of a user in all machines: this one has no others.
	{rule: "process-limit", change: asUser("uucp"), dropIn: "[Service]\nLimitNPROC=40\nRestart=no\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		// Other processes of this user, such as those of another service.
		s.command("sh", "-c", "for i in $(seq 40); do setpriv --reuid=uucp --clear-groups sleep 20 > /dev/null 2>&1 & done; wait -n; sleep 1")
		if err := s.machine.Reload(s.ctx, unitName); err == nil {
			s.Errorf("the upgrade goes well: %+v answers", s.get("/"))
		}
	}},
	{rule: "file-size-limit", change: selfBound, dropIn: "[Service]\nLimitFSIZE=0\n", happens: func(s *site) {
		s.deploy(server(s, "v1"))
		s.must(s.machine.Start(s.ctx, unitName))
		s.reloads(1)
		if a := s.get("/"); a.generation != 1 {
			s.Errorf("%+v answers, want an upgrade that is undone since the state cannot be saved", a)
		}
	}},
}

// sessionGroup is a cgroup beside those of the units.
const sessionGroup = "$(findmnt -n -o TARGET -t cgroup2)/session"

// asUser is a service without a sandbox that binds its socket itself.
func asUser(name string) func(*units.Daemon) {
	return func(d *units.Daemon) {
		selfBound(d)
		d.Hardening, d.User = units.None, name
	}
}
