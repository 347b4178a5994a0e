package conformance_test

import (
	"cmp"
	"slices"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// accessScenarios are about who may send, NotifyAccess=.
func accessScenarios() []scenario {
	return []scenario{
		{name: "NotifyAccess=none lets nobody send", play: access("none")},
		{name: "NotifyAccess=main lets the main process send", play: access("main", "main")},
		{name: "NotifyAccess=exec lets control processes send, too", play: access("exec", "main", "control")},
		{name: "NotifyAccess=all lets all of the unit send", play: access("all", "main", "control", "child")},
		{name: "what needs notifications makes NotifyAccess=main", play: func(s *scene) {
			for _, setting := range []string{"Type=notify", "WatchdogSec=1min", "FileDescriptorStoreMax=1"} {
				s.install("Type=simple", setting)
				s.shows("NotifyAccess=main")
				s.install("Type=simple", setting, "NotifyAccess=all")
				s.shows("NotifyAccess=all")
			}
			s.install("Type=simple")
			s.shows("NotifyAccess=none")
		}},
		{name: "NOTIFYACCESS= overrides the unit for this run", play: func(s *scene) {
			s.install()
			p := s.start()
			child := p.Spawn("child")
			child.Send("STATUS=early")
			s.shows("NotifyAccess=main", "StatusText=")
			p.Send("NOTIFYACCESS=all")
			child.Send("STATUS=child")
			s.shows(since(s, accessOverride, "NotifyAccess=all", "NotifyAccess=main"),
				since(s, accessOverride, "StatusText=child", "StatusText="))
			child.Exit(0)
			next := s.restart()
			next.Spawn("child").Send("STATUS=child of the next run")
			s.shows("NotifyAccess=main", "StatusText=")
			next.Send("NOTIFYACCESS=all")
			next.SendRaw("NOTIFYACCESS=everybody") // takes it back
			s.shows("NotifyAccess=main")
		}},
		{name: "authorisation is by datagram, not by socket", play: func(s *scene) {
			s.install()
			p := s.start()
			next := p.Spawn("sibling")
			p.Send("MAINPID="+next.ID(), "STATUS=from the old one", "READY=1")
			s.shows("MainPID="+next.ID(), "StatusText=from the old one")
			p.Send("STATUS=too late")
			s.shows("StatusText=from the old one")
			next.Send("STATUS=from the new one")
			s.shows("StatusText=from the new one")
		}},
	}
}

// access shows that with NotifyAccess= of that value those roles may send, and no
// others.
func access(value string, allowed ...string) func(s *scene) {
	return func(s *scene) {
		s.install("Type=simple", "NotifyAccess="+value, "ExecReload=PROBE control")
		s.must(s.Start(s.ctx, s.service()))
		main := s.next()
		child := main.Spawn("child")
		outcome := s.begin(s.Reload)
		control := s.next()
		want := ""
		for _, p := range []*probe.Probe{main, control, child} {
			may := slices.Contains(allowed, p.Role)
			if told := p.Env["NOTIFY_SOCKET"]; told != "" && told != s.notify {
				s.Errorf("%s has NOTIFY_SOCKET=%s, want %s", p.Role, told, s.notify)
			} else if told == "" && p != child && may {
				s.Errorf("%s has no NOTIFY_SOCKET", p.Role)
			} else if told != "" && p == control && !may {
				s.Error("the control process has NOTIFY_SOCKET and may not use it")
			}
			p.Do("dial", s.notify)
			p.Send("STATUS=" + p.Role)
			if may {
				want = p.Role
			}
			s.shows("StatusText=" + cmp.Or(want, ""))
		}
		control.Exit(0)
		s.must(outcome())
	}
}
