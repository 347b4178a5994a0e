package conformance_test

// mainPIDScenarios are about which process is the unit's main one.
func mainPIDScenarios() []scenario {
	return []scenario{
		{name: "MAINPID= hands the unit over", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0")
			p := s.start()
			next := p.Spawn("sibling")
			if next.Parent != p.Parent {
				s.Fatalf("the successor's parent is %d, that of the main process %d", next.Parent, p.Parent)
			}
			p.Send("MAINPID="+next.ID(), "READY=1")
			s.shows("MainPID="+next.ID(), "ActiveState=active")
			p.Exit(1) // of no interest any more
			next.Send("STATUS=alone")
			s.shows("ActiveState=active", "StatusText=alone", "NRestarts=0")
			next.Exit(3) // noticed
			third := s.next()
			third.Send("READY=1")
			s.shows("MainPID="+third.ID(), "NRestarts=1")
		}},
		{name: "MAINPID= hands the fd store over", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4", "NotifyAccess=main")
			p := s.start()
			p.Store("new", "old")
			next := p.Spawn("sibling")
			next.SendRaw("FDSTOREREMOVE=1\nFDNAME=new") // its barrier passes all the same
			s.shows("NFileDescriptorStore=2")
			p.Send("MAINPID="+next.ID(), "READY=1")
			s.shows("MainPID=" + next.ID())
			p.SendRaw("FDSTOREREMOVE=1\nFDNAME=old")
			s.shows("NFileDescriptorStore=2")
			next.SendRaw("FDSTOREREMOVE=1\nFDNAME=new")
			s.shows("NFileDescriptorStore=1")
		}},
		{name: "MAINPID= of a child of the old one dies unseen", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0")
			p := s.start()
			child := p.Spawn("child")
			p.Send("MAINPID=" + child.ID())
			s.shows("MainPID=" + child.ID())
			child.Exit(3)
			p.Do("await", child.ID())
			p.Do("barrier")
			s.shows("ActiveState=active", "MainPID="+child.ID())
			p.Do("reap", child.ID()) // else systemd may see the exit as well
			p.Exit(0)
			s.ends()
			s.shows("ActiveState=inactive", "Result=success", "NRestarts=0")
		}},
		{name: "MAINPID= of a dead process is refused", play: func(s *scene) {
			s.install()
			p := s.start()
			child := p.Spawn("child")
			child.Exit(0)
			p.Do("await", child.ID())
			p.Send("MAINPID="+child.ID(), "STATUS=zombie") // the rest of the message counts
			s.shows("MainPID="+p.ID(), "StatusText=zombie")
			p.Do("reap", child.ID())
			p.Send("MAINPID="+child.ID(), "STATUS=gone")
			s.shows("MainPID="+p.ID(), "StatusText=gone", "SubState=running")
		}},
		{name: "MAINPID= of PID 1, and nonsense, is refused", play: func(s *scene) {
			s.install()
			p := s.start()
			for _, value := range []string{"1", "0", "-1", "", "abc", "4194305"} {
				p.SendRaw("MAINPID=" + value)
			}
			s.shows("MainPID="+p.ID(), "SubState=running")
		}},
		{name: "MAINPID= of the control process is refused", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			p.Send("MAINPID=" + control.ID())
			s.shows("MainPID=" + p.ID())
			control.Exit(0)
			s.must(outcome())
		}},
		{name: "MAINPID= during ExecReload= is accepted", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			if control.Env["MAINPID"] != p.ID() {
				s.Errorf("ExecReload= has MAINPID=%s, want %s", control.Env["MAINPID"], p.ID())
			}
			next := p.Spawn("sibling")
			p.Send("MAINPID="+next.ID(), "READY=1")
			control.Exit(0)
			s.must(outcome())
			s.shows("MainPID="+next.ID(), "ReloadResult=success")
		}},
		{name: "MAINPIDFDID= has to agree with MAINPID=", play: func(s *scene) {
			s.install()
			p := s.start()
			next := p.Spawn("sibling")
			id := p.Do("pidfd", next.ID())
			p.Send("MAINPID="+next.ID(), "MAINPIDFDID=1")
			s.shows("MainPID=" + since(s, mainByPidfd, p, next).ID())
			if s.has(mainByPidfd) {
				p.Send("MAINPID="+next.ID(), "MAINPIDFDID="+id)
				s.shows("MainPID=" + next.ID())
			}
		}},
		{name: "MAINPIDFD=1 names a process by its pidfd", play: func(s *scene) {
			s.install()
			p := s.start()
			next, other := p.Spawn("sibling"), p.Spawn("sibling")
			p.Send("MAINPIDFD=" + next.ID())
			s.shows("MainPID=" + since(s, mainByPidfd, next, p).ID())
			since(s, mainByPidfd, next, p).Send("MAINPIDFD="+p.ID(), "MAINPID="+other.ID())
			s.shows("MainPID=" + since(s, mainByPidfd, p, other).ID())
		}},
		{name: "MAINPID= while the service stops", play: func(s *scene) {
			s.install()
			p := s.start()
			next := p.Spawn("sibling")
			p.Do("stay")
			next.Do("stay")
			outcome := s.begin(s.Stop)
			p.AwaitSignal("SIGTERM")
			next.AwaitSignal("SIGTERM")
			p.Send("MAINPID=" + next.ID())
			s.shows("MainPID=" + since(s, mainWhileStopping, next, p).ID())
			p.Exit(0)
			next.Exit(0)
			s.must(outcome())
		}},
	}
}
