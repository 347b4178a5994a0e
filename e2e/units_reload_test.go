package e2e

import (
	"errors"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// failuresToUpgrade start, and then cannot be upgraded, or say so wrongly.
var failuresToUpgrade = []mishap{
	{rule: "exec-reload-missing", dropIn: "[Service]\nExecReload=\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.reloads(3)
	}},
	{rule: "exec-reload-async", since: 259, dropIn: "[Service]\nExecReload=\nExecReload=/bin/sh -c 'kill -HUP $MAINPID'\n", happens: saysSuccess},
	{rule: "exec-reload-ignored", dropIn: "[Service]\nExecReload=\nExecReload=-/usr/local/bin/cutover-ctl reload\n", happens: func(s *site) {
		s.must(s.machine.CopyFile(example(s, "v1"), "/usr/local/bin/cutover-ctl"))
		saysSuccess(s)
	}},
	{rule: "notify-reload-blind", since: 253, dropIn: "[Service]\nType=notify-reload\nExecReload=\n", happens: saysSuccess},
	{rule: "type", dropIn: "[Service]\nType=simple\nRestart=no\n", happens: func(s *site) {
		s.deploy(script(s, 0o755, "sleep 0.2; exit 1"))
		if err := s.machine.Start(s.ctx, unitName); err != nil {
			s.Errorf("start of a program that ends: %v, want success", err)
		}
	}},
	{rule: "exec-paths", since: 248, dropIn: "[Service]\nNoExecPaths=/\nExecPaths=" + binaryPath + "\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.deploy(example(s, "v2"))
		s.reloads(1)
	}},
	{rule: "binary-pinned", dropIn: "[Service]\nTemporaryFileSystem=/usr/local/bin\nBindReadOnlyPaths=" + binaryPath + "\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.deploy(example(s, "v2"))
		s.must(s.machine.Reload(s.ctx, unitName))
		if a := s.get("/"); a.version != "v1" || a.generation != 2 {
			s.Errorf("%+v answers, want the old program again", a)
		}
	}},
	{rule: "private-pids", since: 257, dropIn: "[Service]\nPrivatePIDs=yes\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		before := s.mainPID()
		s.deploy(example(s, "v2"))
		s.must(s.machine.Reload(s.ctx, unitName))
		if a := s.get("/"); a.version != "v2" || s.mainPID() != before {
			s.Errorf("%+v answers, main process %d, want the new program in the place of %d", a, s.mainPID(), before)
		}
	}},
	{rule: "start-timeout-infinite", dropIn: "[Service]\nTimeoutStartSec=infinity\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.deploy(script(s, 0o755, "exec sleep 1000"))
		out, ok := s.run("timeout", "1", "systemctl", "reload", unitName)
		if state := s.show("ActiveState"); ok || state != "reloading" {
			s.Errorf("the reload ends: %s, ActiveState=%s", out, state)
		}
	}},
}

// reloads expects systemctl reload to end with code.
func (s *site) reloads(code int) {
	s.Helper()
	err := s.machine.Reload(s.ctx, unitName)
	if exit := (*machine.ExitError)(nil); !errors.As(err, &exit) || exit.Code != code {
		s.Errorf("systemctl reload: %v, want exit code %d", err, code)
	}
}

// saysSuccess expects a reload to a broken program to succeed.
func saysSuccess(s *site) {
	s.Helper()
	s.must(s.machine.Start(s.ctx, unitName))
	s.deploy("/bin/false")
	if err := s.machine.Reload(s.ctx, unitName); err != nil {
		s.Errorf("reload to a broken program: %v, want success", err)
	}
}
