package e2e

import (
	"syscall"
	"time"

	"github.com/cutover-go/cutover/units"
)

// failuresToReport are of units by which a failure looks like success, or is not mended.
var failuresToReport = []mishap{
	{rule: "success-exit-status", change: selfBound, dropIn: "[Service]\nSuccessExitStatus=SIGKILL\n", happens: stays("inactive")},
	{rule: "restart-prevented", change: selfBound, dropIn: "[Service]\nRestartPreventExitStatus=SIGKILL\n", happens: stays("failed")},
	{rule: "remain-after-exit", dropIn: "[Service]\nRemainAfterExit=yes\nRestart=always\nNotifyAccess=all\n", happens: func(s *site) {
		s.deploy(script(s, 0o755, "systemd-notify --ready; exit 0"))
		s.must(s.machine.Start(s.ctx, unitName))
		for s.ctx.Err() == nil && s.show("SubState") != "exited" {
			s.wait()
		}
		if s.answersWithin(time.Second, address) || s.show("ActiveState") != "active" {
			s.Errorf("ActiveState=%s, want an active service that does not answer", s.show("ActiveState"))
		}
	}},
	{rule: "exec-reload-ignored", dropIn: "[Service]\nExecReload=\nExecReload=/bin/sh -c '/usr/local/bin/cutover-ctl reload || true'\n", happens: func(s *site) {
		s.must(s.machine.CopyFile(example(s, "v1"), "/usr/local/bin/cutover-ctl"))
		saysSuccess(s)
	}},
	{rule: "exec-reload-other", dropIn: "[Service]\nExecReload=\nExecReload=/bin/true\n", happens: saysSuccess},
	{rule: "exec-reload-other", dropIn: "[Service]\nExecReload=\nExecReload=" + binaryPath + "\nTimeoutStartSec=2s\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.reloads(1)
	}},
	{rule: "exec-reload-ends", change: func(d *units.Daemon) { d.Hardening, d.User = units.None, "root" },
		dropIn: "[Service]\nExecReload=\nExecReload=/bin/systemctl restart " + unitName + "\n", happens: isNoUpgrade},
	{rule: "exec-reload-ends", dropIn: "[Service]\nExecReload=\nExecReload=/bin/sh -c 'kill $MAINPID'\n", happens: isNoUpgrade},
	{rule: "restart-pause", dropIn: "[Service]\nRestartSec=1h\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
		for s.ctx.Err() == nil && s.show("SubState") != "auto-restart" {
			s.wait()
		}
		if s.show("ActiveState") != "activating" {
			s.Errorf("ActiveState=%s, want activating", s.show("ActiveState"))
		}
	}},
}

// isNoUpgrade expects a reload after which a process serves that systemd has started.
func isNoUpgrade(s *site) {
	s.Helper()
	s.must(s.machine.Start(s.ctx, unitName))
	before := s.mainPID()
	_ = s.machine.Reload(s.ctx, unitName) // which says success, or that it was canceled
	for s.ctx.Err() == nil && s.mainPID() == before {
	}
	if a := s.get("/"); a.pid == before || a.generation != 1 {
		s.Errorf("%+v answers, want a process of generation 1 in the place of %d", a, before)
	}
}
