package conformance_test

import (
	"time"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// reloadScenarios are about `systemctl reload`.
func reloadScenarios() []scenario {
	return []scenario{
		{name: "the exit status of ExecReload= is that of the reload", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			p := s.start()
			s.shows("CanReload=yes")
			for _, try := range []struct {
				status, code int
				result       string
			}{{0, 0, "success"}, {1, 1, "exit-code"}, {7, 1, "exit-code"}, {0, 0, "success"}} {
				outcome := s.begin(s.Reload)
				control := s.next()
				s.shows("ActiveState=reloading", "SubState=reload", "ControlPID="+control.ID())
				control.Exit(try.status)
				s.exits(outcome(), try.code)
				s.shows("ActiveState=active", "SubState=running", "ReloadResult="+try.result, "Result=success", "MainPID="+p.ID())
			}
		}},
		{name: "a unit that cannot reload says so", play: func(s *scene) {
			s.install()
			s.start()
			s.shows("CanReload=no")
			s.exits(s.Reload(s.ctx, s.service()), 3)
		}},
		{name: "a unit that is down cannot reload", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			s.exits(s.Reload(s.ctx, s.service()), 1)
		}},
		{name: "RELOADING=1 during ExecReload=", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			p.Send("RELOADING=1")
			control.Exit(0)
			if s.has(reloadByCommand) {
				s.must(outcome()) // without a READY=1
				return
			}
			s.await("ControlPID", "0")
			s.shows("ActiveState=reloading")
			p.Send("READY=1")
			s.must(outcome())
			s.shows("ActiveState=active", "ReloadResult=success")
		}},
		{name: "READY=1 before ExecReload= ends", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			p.Send("RELOADING=1")
			p.Send("READY=1")
			s.shows("ActiveState=reloading") // until the command has ended
			control.Exit(0)
			s.must(outcome())
			s.shows("ActiveState=active", "ReloadResult=success")
		}},
		{name: "a reload that takes too long fails and harms nobody", play: func(s *scene) {
			s.install("ExecReload=PROBE control", "Restart=always")
			p := s.start()
			s.install("ExecReload=PROBE control", "Restart=always", "TimeoutStartSec=4s") // in which it has to come
			outcome := s.begin(s.Reload)
			control := s.next()
			control.Do("stay")
			s.exits(outcome(), 1)
			control.AwaitGone()
			s.shows("ActiveState=active", "ReloadResult=timeout", "MainPID="+p.ID(), "NRestarts=0")
		}},
		{name: "RELOADING=1 unasked without READY=1", play: func(s *scene) {
			s.install()
			p := s.start()
			s.install("TimeoutStartSec=300ms")
			p.Send("RELOADING=1")
			s.await("ReloadResult", "timeout")
			s.shows(since(s, reloadGivesUp, "ActiveState=active", "ActiveState=reloading"), "MainPID="+p.ID())
			p.Send("READY=1")
			s.shows("ActiveState=active")
		}},
		{name: "EXTEND_TIMEOUT_USEC= lets a reload take longer", play: func(s *scene) {
			s.install()
			p := s.start()
			s.install("TimeoutStartSec=300ms")
			p.Send("RELOADING=1", "EXTEND_TIMEOUT_USEC=60000000")
			s.pass(600 * time.Millisecond)
			s.shows("ActiveState=reloading", "ReloadResult=success")
			p.Send("READY=1")
			s.shows("ActiveState=active", "ReloadResult=success")
		}},
		{name: "ExecReloadPost= comes after READY=1 and counts", play: func(s *scene) {
			s.install("ExecReload=PROBE control", "ExecReloadPost=PROBE post")
			s.start()
			outcome := s.begin(s.Reload)
			s.next().Exit(0)
			if s.has(reloadPost) {
				s.next().Exit(1)
			}
			s.exits(outcome(), since(s, reloadPost, 1, 0))
			s.shows("ActiveState=active", "ReloadResult="+since(s, reloadPost, "exit-code", "success"))
		}},
	}
}

// signalScenarios are about Type=notify-reload.
func signalScenarios() []scenario {
	return []scenario{
		{name: "Type=notify-reload after Type=notify", play: func(s *scene) {
			s.install("Type=notify-reload")
			p := s.start()
			s.shows("Type="+since(s, notifyReload, "notify-reload", "notify"), "CanReload="+since(s, notifyReload, "yes", "no"))
			if !s.has(notifyReload) {
				s.exits(s.Reload(s.ctx, s.service()), 3)
				return
			}
			outcome := s.begin(s.Reload)
			p.AwaitSignal("SIGHUP")
			s.shows("ActiveState=reloading", "SubState=reload-signal")
			p.Send("RELOADING=1")
			s.shows("ActiveState=reloading", "SubState=reload-notify")
			p.Send("READY=1")
			s.must(outcome())
			s.shows("ActiveState=active", "ReloadResult=success", "MainPID="+p.ID())
		}},
		{name: "Type=notify-reload alone", play: func(s *scene) {
			s.install("Type=simple", "Type=notify-reload")
			s.shows("Type="+since(s, notifyReload, "notify-reload", "simple"), "NotifyAccess="+since(s, notifyReload, "main", "none"))
			s.begin(s.Start)
			if p := s.next(); (p.Env["NOTIFY_SOCKET"] != "") != s.has(notifyReload) {
				s.Errorf("NOTIFY_SOCKET=%q", p.Env["NOTIFY_SOCKET"])
			}
		}},
		{name: "RELOADING=1 and READY=1 in one message", play: reloading(func(s *scene, p *probe.Probe) int {
			p.Send("RELOADING=1", "READY=1")
			return 0
		})},
		{name: "the reload signal can be another", play: func(s *scene) {
			if !s.has(notifyReload) {
				s.Skip("needs Type=notify-reload")
			}
			s.install("Type=notify-reload", "ReloadSignal=USR2")
			p := s.start()
			outcome := s.begin(s.Reload)
			p.AwaitSignal("SIGUSR2")
			p.Send("RELOADING=1", "READY=1")
			s.must(outcome())
		}},
		{name: "RELOADING=1 without a time is no answer", play: reloading(func(s *scene, p *probe.Probe) int {
			p.SendRaw("RELOADING=1")
			s.shows("SubState=reload-signal")
			p.SendRaw("RELOADING=1\nMONOTONIC_USEC=1") // before the signal
			s.shows("SubState=reload-signal")
			p.Send("READY=1")
			s.shows("SubState=reload-signal")
			p.Send("RELOADING=1", "READY=1")
			return 0
		})},
		{name: "a signal that nobody answers", play: reloading(func(s *scene, p *probe.Probe) int {
			return 1
		}, "TimeoutStartSec=300ms")},
		{name: "a reload cannot say that it failed", play: reloading(func(s *scene, p *probe.Probe) int {
			p.Send("RELOADING=1")
			p.Send("READY=1", "ERRNO=5", "STATUS=bad config")
			s.shows("StatusErrno=5", "StatusText=bad config")
			return 0
		})},
		{name: "RELOADING=1 and never READY=1", play: reloading(func(s *scene, p *probe.Probe) int {
			p.Send("RELOADING=1")
			s.await("ReloadResult", "timeout")
			s.shows(since(s, reloadGivesUp, "SubState=running", "SubState=reload-notify"))
			p.Send("READY=1")
			return 1
		}, "TimeoutStartSec=1500ms")},
		{name: "a main process that exits during a reload", play: reloading(func(s *scene, p *probe.Probe) int {
			p.Send("RELOADING=1")
			p.Exit(0)
			return since(s, reloadCanceled, 1, 0)
		})},
		{name: "ExecReloadPost= counts after a reload by signal, too", play: reloading(func(s *scene, p *probe.Probe) int {
			p.Send("RELOADING=1", "READY=1")
			if s.has(reloadPost) {
				s.next().Exit(1)
			}
			return since(s, reloadPost, 1, 0)
		}, "ExecReloadPost=PROBE post")},
		{name: "a handover during a reload by signal", play: reloading(func(s *scene, p *probe.Probe) int {
			p.Send("RELOADING=1")
			next := p.Spawn("sibling")
			p.Send("MAINPID=" + next.ID())
			next.Send("READY=1")
			p.Exit(0)
			return 0
		})},
	}
}

// reloading has a service with Type=notify-reload reload, with settings that it gets
// when it runs, answers as answer does, and wants systemctl to exit with what it
// returns. Before 253 it shows nothing.
func reloading(answer func(s *scene, p *probe.Probe) (exit int), settings ...string) func(s *scene) {
	return func(s *scene) {
		if !s.has(notifyReload) {
			s.Skip("needs Type=notify-reload")
		}
		s.install("Type=notify-reload")
		p := s.start()
		if len(settings) > 0 {
			s.install(append(settings, "Type=notify-reload")...)
		}
		outcome := s.begin(s.Reload)
		p.AwaitSignal("SIGHUP")
		exit := answer(s, p)
		s.exits(outcome(), exit)
	}
}
