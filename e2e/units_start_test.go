package e2e

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/units"
)

const short = "\nTimeoutStartSec=2s\nRestart=no\n"

// failuresToStart are faults of units that do not start, or start with the wrong state.
var failuresToStart = []mishap{
	{rule: "address-families", dropIn: "[Service]\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_INET AF_INET6" + short,
		happens: doesNotStart("timeout", "exit-code", "protocol")},
	{rule: "notify-hidden", dropIn: "[Service]\nTemporaryFileSystem=/run" + short, happens: doesNotStart("timeout", "exit-code", "protocol")},
	{rule: "exec-start-shell", change: selfBound,
		dropIn: "[Service]\nExecStart=\nExecStart=/bin/sh -c 'ulimit -c 0; " + binaryPath + "'" + short, happens: doesNotStart("timeout")},
	{rule: "exec-start-count", change: selfBound, dropIn: "[Service]\nExecStart=" + binaryPath + " -addr 127.0.0.1:8091\n", happens: isNotLoaded},
	{rule: "exec-program", change: selfBound, dropIn: "[Service]\nExecStart=\nExecStart=local/bin/cutover-http\n", happens: isNotLoaded},
	{rule: "shell-syntax", change: selfBound, dropIn: "[Service]\nExecStart=\nExecStart=" + binaryPath + " >/run/cutover-test.log\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		argv, err := s.machine.ReadProc(s.mainPID(), "cmdline")
		s.must(err)
		if _, there := s.run("test", "-e", "/run/cutover-test.log"); there || !strings.HasSuffix(string(argv), "\x00>/run/cutover-test.log\x00") {
			s.Errorf("the file is there: %v, arguments %q, want the redirection among the arguments", there, argv)
		}
	}},
	{rule: "exec-start-name", change: selfBound, dropIn: "[Service]\nExecStart=\nExecStart=@" + binaryPath + " sleep\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.deploy(example(s, "v2"))
		s.must(s.machine.Reload(s.ctx, unitName))
		if a := s.get("/"); a.version != "v2" || a.generation != 2 {
			s.Errorf("%+v answers, want the library to upgrade all the same", a)
		}
		argv, err := s.machine.ReadProc(s.mainPID(), "cmdline")
		s.must(err)
		name, _, _ := strings.Cut(string(argv), "\x00")
		if found, _ := s.run("sh", "-c", "command -v "+name); strings.TrimSpace(found) == binaryPath || name != "sleep" {
			s.Errorf("argv[0] is %q, and PATH has %q for it, want another program", name, found)
		}
	}},
	{rule: "system-calls", dropIn: "[Service]\nSystemCallFilter=~@process" + short, happens: doesNotStart("core-dump", "signal", "exit-code")},
	{rule: "binary-hidden", change: func(d *units.Daemon) { d.Binary = "/root/cutover-http" }, dropIn: "[Service]\nRestart=no\n", happens: endsWith("203")},
	{rule: "fd-limit", change: func(d *units.Daemon) {
		for port := range 20 {
			d.Sockets[0].Listen = append(d.Sockets[0].Listen, "127.0.0.1:"+strconv.Itoa(9000+port))
		}
	}, dropIn: "[Service]\nLimitNOFILE=16:4096\nRestart=no\n", happens: endsWith("202")},
	// With its standard error a listening socket, the program may end by SIGPIPE.
	{rule: "socket-stdin", dropIn: "[Service]\nStandardInput=socket\nRestart=no\n", happens: doesNotStart("exit-code", "protocol")},
	{rule: "socket-name", dropIn: "[Socket]\nFileDescriptorName=\n", happens: takenByTheSocket},
	{rule: "socket-name-invalid", dropIn: "[Socket]\nFileDescriptorName=\nFileDescriptorName=http:8080\n", happens: takenByTheSocket},
	{rule: "socket-required", lacks: "Requires=cutover-http.socket", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		if s.machine.Start(s.ctx, "cutover-http.socket") == nil {
			s.Error("the .socket unit starts beside what the program has bound")
		}
	}},
	{rule: "socket-service", dropIn: "[Socket]\nService=other.service\n", happens: func(s *site) {
		s.put([]units.File{{Name: "other.service", Text: "[Service]\nExecStart=/bin/true\n"}})
		takenByTheSocket(s)
	}},
	{rule: "socket-accept", dropIn: "[Socket]\nAccept=yes\n", happens: func(s *site) {
		s.put([]units.File{{Name: unitName + ".d/bad.conf", Text: "[Service]\nRestart=no\n"}})
		defer s.run("rm", "/etc/systemd/system/"+unitName+".d/bad.conf")
		if s.machine.Start(s.ctx, unitName) == nil {
			s.Error("it starts")
		}
	}},
	{rule: "socket-address-twice", other: "[Socket]\nListenStream=" + address + "\nService=" + unitName + "\nFileDescriptorName=admin\n",
		happens: func(s *site) {
			s.must(s.machine.Start(s.ctx, "cutover-http.socket"))
			if s.machine.Start(s.ctx, "admin.socket") == nil {
				s.Error("both sockets start")
			}
		}},
	{rule: "socket-name-twice", dropIn: "[Unit]\nRequires=admin.socket\n",
		other: "[Socket]\nListenStream=127.0.0.1:8081\nService=" + unitName + "\nFileDescriptorName=http\n", happens: func(s *site) {
			defer s.run("systemctl", "stop", "admin.socket") // clients wait in its queue, who would start the service again
			s.must(s.machine.Start(s.ctx, unitName))
			if one, two := s.answersWithin(time.Second, address), s.answersWithin(time.Second, "127.0.0.1:8081"); !one || !two {
				s.Errorf("served: %v and %v, want both by one listener", one, two)
			}
		}},
	{rule: "restart-mode", since: 254, dropIn: "[Service]\nRestartMode=direct\n", happens: func(s *site) {
		s.deploy("/bin/false")
		if out, ok := s.run("timeout", "1", "systemctl", "start", unitName); ok || out != "" {
			s.Errorf("the start ends: %s", out)
		}
	}},
	{rule: "private-network", change: selfBound, dropIn: "[Service]\nPrivateNetwork=yes\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		if _, err := s.tryGet("/"); err == nil {
			s.Error("it can be reached")
		}
	}},
	{rule: "root-directory", until: 247, change: func(d *units.Daemon) { d.Hardening = units.None },
		dropIn: "[Service]\nRootDirectory=/run/cutover-root\nMountAPIVFS=yes" + short, happens: func(s *site) {
			s.run("mkdir", "-p", "/run/cutover-root/usr/local/bin")
			defer s.run("rm", "-r", "/run/cutover-root")
			s.must(s.machine.CopyFile(example(s, "v1"), "/run/cutover-root"+binaryPath))
			doesNotStart("timeout", "exit-code", "protocol")(s)
			mended := units.File{Name: unitName + ".d/mended.conf", Text: "[Service]\nBindReadOnlyPaths=/run/systemd/notify\n"}
			s.put([]units.File{mended})
			defer s.run("rm", "/etc/systemd/system/"+mended.Name)
			s.must(s.machine.Start(s.ctx, unitName))
		}},
	{rule: "not-in-version", until: 253, dropIn: "[Service]\nRestartMode=direct\n", happens: func(s *site) {
		if out, _ := s.run("systemd-analyze", "verify", "--man=no", "/etc/systemd/system/"+unitName); !strings.Contains(out, "RestartMode") {
			s.Errorf("systemd does not say that it ignores RestartMode=: %s", out)
		}
	}},
	{rule: "invalid-value", change: selfBound, dropIn: "[Service]\nRestart=on_failure\nOOMPolicy=never\n",
		happens: shows(map[string]string{"OOMPolicy": "continue", "Restart": "on-failure"})},
	{rule: "wrong-section", change: selfBound, dropIn: "[Unit]\nKillMode=mixed\n", happens: shows(map[string]string{"KillMode": "control-group"})},
	{rule: "syntax", change: selfBound, dropIn: "[Service]\nKillMode mixed\nUMask=0007\n",
		happens: shows(map[string]string{"KillMode": "control-group", "UMask": "0007"})},
	{rule: "notify-reload-version", until: 252, change: selfBound,
		dropIn:  "[Service]\nFileDescriptorStoreMax=0\nNotifyAccess=none\nType=simple\nType=notify-reload\nExecReload=\n",
		happens: shows(map[string]string{"Type": "simple", "NotifyAccess": "none", "CanReload": "no"})},
}

// doesNotStart expects a start to fail with one of the results.
func doesNotStart(results ...string) func(*site) {
	return func(s *site) {
		s.Helper()
		if err := s.machine.Start(s.ctx, unitName); err == nil {
			s.Fatalf("it starts: %+v answers", s.get("/"))
		}
		if r := s.show("Result"); !slices.Contains(results, r) {
			s.Errorf("Result=%s, want one of %v", r, results)
		}
	}
}

// answersWithin reports whether a process answers at address within d.
func (s *site) answersWithin(d time.Duration, address string) bool {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	_, err := (&client{s.TB, ctx, address, s.dial}).tryGet("/")
	return err == nil
}

// endsWith expects a start to fail with an exit status of systemd's own.
func endsWith(status string) func(*site) {
	return func(s *site) {
		s.Helper()
		if err := s.machine.Start(s.ctx, unitName); err == nil {
			s.Fatalf("it starts: %+v answers", s.get("/"))
		}
		if r := s.show("ExecMainStatus"); r != status {
			s.Errorf("ExecMainStatus=%s, want %s", r, status)
		}
	}
}

// takenByTheSocket expects that the program cannot bind the address of the .socket unit.
func takenByTheSocket(s *site) {
	s.Helper()
	s.must(s.machine.Start(s.ctx, "cutover-http.socket"))
	once := units.File{Name: unitName + ".d/once.conf", Text: "[Service]\nRestart=no\n"}
	s.put([]units.File{once})
	defer s.run("rm", "/etc/systemd/system/"+once.Name)
	doesNotStart("exit-code", "timeout")(s)
}

// shows expects systemd to see settings otherwise than the unit wants them.
func shows(want map[string]string) func(*site) {
	return func(s *site) {
		s.Helper()
		for property, value := range want {
			if got := s.show(property); got != value {
				s.Errorf("%s=%s, want %s", property, got, value)
			}
		}
	}
}

// isNotLoaded checks that systemd refuses the unit.
func isNotLoaded(s *site) {
	s.Helper()
	if err := s.machine.Start(s.ctx, unitName); err == nil || s.show("LoadState") != "bad-setting" {
		s.Errorf("start: %v, LoadState=%s, want a unit that systemd does not load", err, s.show("LoadState"))
	}
}
