package conformance_test

// mainPIDScenarios are about which process is the unit's main one.
func mainPIDScenarios() []scenario {
	return []scenario{
		{name: "MAINPID= hands the unit over", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0")
			p := s.start()
			next := p.spawn("sibling")
			if next.Parent != p.Parent {
				s.Fatalf("the successor's parent is %d, that of the main process %d", next.Parent, p.Parent)
			}
			p.send("MAINPID="+next.pid(), "READY=1")
			s.shows("MainPID="+next.pid(), "ActiveState=active")
			p.exit(1) // of no interest any more
			next.send("STATUS=alone")
			s.shows("ActiveState=active", "StatusText=alone", "NRestarts=0")
			next.exit(3) // noticed
			third := s.next()
			third.send("READY=1")
			s.shows("MainPID="+third.pid(), "NRestarts=1")
		}},
		{name: "MAINPID= hands the fd store over", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4", "NotifyAccess=main")
			p := s.start()
			p.keep("new", "old")
			next := p.spawn("sibling")
			next.raw("FDSTOREREMOVE=1\nFDNAME=new") // its barrier passes all the same
			s.shows("NFileDescriptorStore=2")
			p.send("MAINPID="+next.pid(), "READY=1")
			s.shows("MainPID=" + next.pid())
			p.raw("FDSTOREREMOVE=1\nFDNAME=old")
			s.shows("NFileDescriptorStore=2")
			next.raw("FDSTOREREMOVE=1\nFDNAME=new")
			s.shows("NFileDescriptorStore=1")
		}},
		{name: "MAINPID= of a child of the old one dies unseen", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0")
			p := s.start()
			child := p.spawn("child")
			p.send("MAINPID=" + child.pid())
			s.shows("MainPID=" + child.pid())
			child.exit(3)
			p.do("await", child.pid())
			p.do("barrier")
			s.shows("ActiveState=active", "MainPID="+child.pid())
			p.exit(0)
			s.ends()
			s.shows("ActiveState=inactive", "Result=success", "NRestarts=0")
		}},
		{name: "MAINPID= of a dead process is refused", play: func(s *scene) {
			s.install()
			p := s.start()
			child := p.spawn("child")
			child.exit(0)
			p.do("await", child.pid())
			p.send("MAINPID="+child.pid(), "STATUS=zombie") // the rest of the message counts
			s.shows("MainPID="+p.pid(), "StatusText=zombie")
			p.do("reap", child.pid())
			p.send("MAINPID="+child.pid(), "STATUS=gone")
			s.shows("MainPID="+p.pid(), "StatusText=gone", "SubState=running")
		}},
		{name: "MAINPID= of PID 1, and nonsense, is refused", play: func(s *scene) {
			s.install()
			p := s.start()
			for _, value := range []string{"1", "0", "-1", "", "abc", "4194305"} {
				p.raw("MAINPID=" + value)
			}
			s.shows("MainPID="+p.pid(), "SubState=running")
		}},
		{name: "MAINPID= of the control process is refused", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			p.send("MAINPID=" + control.pid())
			s.shows("MainPID=" + p.pid())
			control.exit(0)
			s.must(outcome())
		}},
		{name: "MAINPID= during ExecReload= is accepted", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			if control.Env["MAINPID"] != p.pid() {
				s.Errorf("ExecReload= has MAINPID=%s, want %s", control.Env["MAINPID"], p.pid())
			}
			next := p.spawn("sibling")
			p.send("MAINPID="+next.pid(), "READY=1")
			control.exit(0)
			s.must(outcome())
			s.shows("MainPID="+next.pid(), "ReloadResult=success")
		}},
		{name: "MAINPIDFDID= has to agree with MAINPID=", play: func(s *scene) {
			s.install()
			p := s.start()
			next := p.spawn("sibling")
			id := p.do("pidfd", next.pid()).Text
			p.send("MAINPID="+next.pid(), "MAINPIDFDID=1")
			s.shows("MainPID=" + since(s, mainByPidfd, p, next).pid())
			if s.has(mainByPidfd) {
				p.send("MAINPID="+next.pid(), "MAINPIDFDID="+id)
				s.shows("MainPID=" + next.pid())
			}
		}},
		{name: "MAINPIDFD=1 names a process by its pidfd", play: func(s *scene) {
			s.install()
			p := s.start()
			next, other := p.spawn("sibling"), p.spawn("sibling")
			p.send("MAINPIDFD=" + next.pid())
			s.shows("MainPID=" + since(s, mainByPidfd, next, p).pid())
			since(s, mainByPidfd, next, p).send("MAINPIDFD="+p.pid(), "MAINPID="+other.pid())
			s.shows("MainPID=" + since(s, mainByPidfd, p, other).pid())
		}},
		{name: "MAINPID= while the service stops", play: func(s *scene) {
			s.install()
			p := s.start()
			next := p.spawn("sibling")
			p.do("hold")
			next.do("hold")
			outcome := s.begin(s.Stop)
			p.awaitSignal("SIGTERM")
			next.awaitSignal("SIGTERM")
			p.send("MAINPID=" + next.pid())
			s.shows("MainPID=" + since(s, mainWhileStopping, next, p).pid())
			p.exit(0)
			next.exit(0)
			s.must(outcome())
		}},
	}
}
