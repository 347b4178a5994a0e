package conformance_test

import (
	"context"
	"strconv"
	"strings"
)

// storeLifeScenarios are about when the file descriptor store is lost.
func storeLifeScenarios() []scenario {
	return []scenario{
		{name: "the store outlives a crash that is followed by a restart", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "Restart=on-failure", "RestartSec=0")
			p := s.start()
			p.Store("a")
			p.Exit(3)
			wantContents(s.next(), "a=a")
		}},
		{name: "the store outlives a restart that the service asks for", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "RestartForceExitStatus=133", "RestartSec=0")
			p := s.start()
			p.Store("a")
			p.Exit(133)
			wantContents(s.next(), "a=a")
		}},
		{name: "the store is lost with a stop", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2")
			s.start().Store("a")
			s.must(s.Stop(s.ctx, s.service()))
			s.shows("NFileDescriptorStore=0")
			wantContents(s.start())
		}},
		{name: "the store is lost with a failure", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2")
			p := s.start()
			p.Store("a")
			p.Exit(3)
			s.ends()
			s.shows("ActiveState=failed", "NFileDescriptorStore=0")
		}},
		{name: "the store is lost with the start limit", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "[Unit]", "StartLimitBurst=1", "StartLimitIntervalSec=1min")
			s.start().Store("a")
			s.exits(s.Restart(s.ctx, s.service()), 1)
			s.shows("ActiveState=failed", "Result=start-limit-hit", "NFileDescriptorStore=0")
		}},
		{name: "what is stored while a restart stops the service is kept", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "RestartKillSignal=SIGUSR2")
			p := s.start()
			outcome := s.begin(s.Restart)
			p.AwaitSignal("SIGUSR2") // and not SIGTERM: it is no stop
			p.Do("open", "late", "memfd", "late")
			p.Do("store", "late", "late") // no barrier: the main process needs none
			p.Exit(0)
			next := s.next()
			next.Send("READY=1")
			s.must(outcome())
			wantContents(next, "late=late")
		}},
		{name: "FileDescriptorStorePreserve=yes with a .socket", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "FileDescriptorStorePreserve=yes")
			s.listen("ListenStream=" + inRun(s))
			s.start().Store("a")
			s.must(s.Stop(s.ctx, s.service()))
			s.shows("ActiveState=inactive", "SubState="+since(s, storePreserve, "dead-resources-pinned", "dead"),
				"NFileDescriptorStore="+since(s, storePreserve, "1", "0"))
			if names := s.start().Names(); names != s.name+".socket"+since(s, storePreserve, " a", "") {
				s.Errorf("came back: %s", names)
			}
		}},
		{name: "FileDescriptorStorePreserve=yes of a unit that no other refers to", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "FileDescriptorStorePreserve=yes")
			s.start().Store("a")
			s.must(s.Stop(s.ctx, s.service()))
			s.shows("NFileDescriptorStore=" + since(s, preserveUnreferenced, "1", "0"))
		}},
		{name: "FileDescriptorStorePreserve=on-success", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "FileDescriptorStorePreserve=on-success")
			s.start().Store("a")
			s.must(s.Stop(s.ctx, s.service()))
			s.shows("NFileDescriptorStore=" + since(s, preserveOnSuccess, "1", "0"))
			p := s.start()
			wantContents(p, since(s, preserveOnSuccess, []string{"a=a"}, nil)...)
			p.Exit(3)
			s.ends()
			s.shows("ActiveState=failed", "NFileDescriptorStore=0")
		}},
		{name: "FileDescriptorStorePreserve=no", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2", "FileDescriptorStorePreserve=no")
			s.start().Store("a")
			wantContents(s.restart(), since(s, storePreserve, nil, []string{"a=a"})...)
		}},
		{name: "a daemon-reload while the unit file is missing", real: "unit files that can be missing", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2")
			s.start().Store("a")
			_, err := s.machine.Run(s.ctx, "rm", "/etc/systemd/system/"+s.service())
			s.must(err)
			s.must(s.DaemonReload(s.ctx))
			s.shows("ActiveState=active")
			s.install("FileDescriptorStoreMax=2")
			s.shows("ActiveState=active", "NFileDescriptorStore="+since(s, storeWithoutFile, "1", "0"))
		}},
		{name: "a connection outlives the process that accepted it", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2")
			s.listen("ListenStream="+inRun(s), "FileDescriptorName=web")
			p := s.start()
			client := s.dial("unix", inRun(s))
			p.Do("open", "conn", "accepted", "web")
			p.Do("store", "conn", "conn")
			p.Do("barrier")
			next := s.restart()
			s.converse(client, func() string { return next.Do("serve", "conn", "0") })
		}},
		{name: "package reexec restores the order of one name", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9", "ExecStart=", "ExecStart=PROBE upgrader", "[Unit]", "StartLimitIntervalSec=0")
			first := s.listeners(s.Start, 4, "web", "admin")
			s.shows("NFileDescriptorStore=8")
			if again := s.listeners(s.Restart, 4, "web", "admin"); again != first {
				s.Errorf("after a restart:\n%s, want\n%s", again, first)
			}
			s.must(s.DaemonReload(s.ctx))
			if again := s.listeners(s.Restart, 4, "web", "admin"); again != first {
				s.Errorf("after a daemon-reload:\n%s, want\n%s", again, first)
			}
		}},
	}
}

// listeners starts the service, whose probe has package reexec claim or bind so
// many listeners of each name, and returns their addresses, those of a name in order.
func (s *scene) listeners(job func(ctx context.Context, unit string) error, count int, names ...string) string {
	s.Helper()
	outcome := s.begin(job)
	p := s.next()
	var all []string
	for _, name := range names {
		all = append(all, name+": "+p.Do("listen", name, "tcp", "127.0.0.1:0", strconv.Itoa(count)))
	}
	p.Do("ready")
	p.Do("barrier")
	s.must(outcome())
	return strings.Join(all, "\n")
}
