package conformance_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// storeScenarios are about what goes into the file descriptor store and out of it.
func storeScenarios() []scenario {
	return []scenario{
		{name: "what is stored comes back by its name", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4")
			p := s.start()
			s.shows("FileDescriptorStoreMax=4", "NFileDescriptorStore=0")
			p.Store("a", "b")
			s.shows("NFileDescriptorStore=2")
			wantContents(s.restart(), "b=b", "a=a")
			s.shows("NFileDescriptorStore=2") // it stays there
		}},
		{name: "$FDSTORE says how much fits", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4", "NotifyAccess=all", "ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			for _, who := range []*probe.Probe{p, control} {
				if got := who.Env["FDSTORE"]; got != since(s, storeVariable, "4", "") {
					s.Errorf("%s has FDSTORE=%q", who.Role, got)
				}
			}
			control.Exit(0)
			s.must(outcome())
		}},
		{name: "the newest comes first, a daemon-reload turns that around", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4", "[Unit]", "StartLimitIntervalSec=0")
			s.start().Store("a", "b", "c", "d")
			wantContents(s.restart(), "d=d", "c=c", "b=b", "a=a")
			s.must(s.DaemonReload(s.ctx))
			wantContents(s.restart(), "a=a", "b=b", "c=c", "d=d")
			s.must(s.DaemonReload(s.ctx))
			s.must(s.DaemonReload(s.ctx))
			wantContents(s.restart(), "a=a", "b=b", "c=c", "d=d")
		}},
		{name: "one name may be that of several", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4")
			s.start().Store("a=same", "b=same", "c=other")
			wantContents(s.restart(), "other=c", "same=b", "same=a")
		}},
		{name: "an open file is stored once, under its first name", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4")
			p := s.start()
			p.Store("first")
			p.Do("store", "second", "first")
			p.Send("STATUS=stored again")
			s.shows("NFileDescriptorStore=1", "StatusText=stored again")
			wantContents(s.restart(), "first=first")
		}},
		{name: "a bad name becomes stored", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			long := strings.Repeat("x", 255)
			names := []string{"FDNAME=a:b", "FDNAME=ümlaut", "FDNAME=tab\t", "FDNAME=" + long + "x", "NONAME=", "FDNAME=", "FDNAME=has spaces", "FDNAME=" + long}
			for i, name := range names {
				key := fmt.Sprint(i)
				p.Do("open", key, "memfd", key)
				p.SendRaw("FDSTORE=1\n"+name, key)
			}
			wantContents(s.restart(), long+"=7", "has spaces=6", "=5", "stored=4", "stored=3", "stored=2", "stored=1", "stored=0")
		}},
		{name: "several files of one message all come back", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			keys := []string{"0", "1", "2", "3", "4", "5"}
			for _, k := range keys {
				p.Do("open", k, "memfd", k)
			}
			p.SendRaw("FDSTORE=1\nFDNAME=batch", keys...)
			var contents []string
			for _, r := range s.restart().Raw {
				contents = append(contents, r.Name+"="+r.Content)
			}
			slices.Sort(contents) // their order is left to chance
			if got, want := strings.Join(contents, " "), "batch=0 batch=1 batch=2 batch=3 batch=4 batch=5"; got != want {
				s.Errorf("came back: %s, want %s", got, want)
			}
		}},
		{name: "what exceeds FileDescriptorStoreMax= is dropped", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=2")
			p := s.start()
			p.Store("a", "b", "c")
			s.shows("NFileDescriptorStore=2")
			p.Do("remove", "a")
			p.Do("open", "d", "memfd", "d")
			p.Do("open", "e", "memfd", "e")
			p.SendRaw("FDSTORE=1\nFDNAME=de", "d", "e")
			s.shows("NFileDescriptorStore=2")
			s.install("FileDescriptorStoreMax=1") // with a daemon-reload
			s.shows("NFileDescriptorStore=1")
		}},
		{name: "without FileDescriptorStoreMax= nothing is stored", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Store("a")
			s.shows("FileDescriptorStoreMax=0", "NFileDescriptorStore=0")
		}},
		{name: "FDSTOREREMOVE=1 takes out all of a name", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.Store("a", "b=x", "c=x", "d")
			p.Do("remove", "x")
			p.Do("remove", "never there")
			p.SendRaw("FDSTOREREMOVE=1") // which one?
			s.shows("NFileDescriptorStore=2")
			p.Do("open", "e", "memfd", "e")
			p.SendRaw("FDSTOREREMOVE=1\nFDSTORE=1\nFDNAME=a", "e") // removing wins
			s.shows("NFileDescriptorStore=1")
			wantContents(s.restart(), "d=d")
		}},
		{name: "the empty name can be removed", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.Store("a")
			p.Do("open", "e", "memfd", "e")
			p.SendRaw("FDSTORE=1\nFDNAME=", "e")
			s.shows("NFileDescriptorStore=2")
			p.Do("remove", "")
			wantContents(s.restart(), "a=a")
		}},
		{name: "what hangs up is dropped", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.Do("open", "pipe", "pipe", "r")
			p.Do("store", "pipe", "pipe")
			p.Do("barrier")
			s.shows("NFileDescriptorStore=1")
			p.Do("close", "pipe") // with the end that writes
			s.await("NFileDescriptorStore", "0")
			p.Do("open", "tcp", "unconnected", "") // hung up from birth
			p.Do("store", "tcp", "tcp")
			p.Do("barrier") // the descriptor was stored; the manager may see the hang-up later
			s.await("NFileDescriptorStore", "0")
		}},
		{name: "FDPOLL=0 keeps what hangs up", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.Do("open", "pipe", "pipe", "r")
			p.Do("open", "tcp", "unconnected", "")
			p.Do("unpolled", "kept", "pipe", "tcp")
			p.Do("close", "pipe")
			s.must(s.DaemonReload(s.ctx)) // it is remembered
			p.Do("barrier")
			s.shows("NFileDescriptorStore=2")
			if names := s.restart().Names(); names != "kept kept" {
				s.Errorf("came back: %s", names)
			}
		}},
		{name: "what cannot be polled", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.Do("open", "file", "file", "/proc/self/exe")
			p.Do("store", "file", "file") // never hangs up
			p.Do("open", "path", "path", "/")
			p.Do("store", "path", "path") // refused
			p.Do("barrier")
			s.shows("NFileDescriptorStore=1")
			p.Do("unpolled", "path", "path")
			p.Do("barrier")
			s.shows("NFileDescriptorStore=2")
		}},
		{name: "who may not send may not store", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			s.start().Spawn("child").Store("a")
			s.shows("NFileDescriptorStore=0")
		}},
		{name: "a listener of a .socket that is stored comes twice", play: func(s *scene) {
			address := s.freeAddress("tcp", "127.0.0.1")
			s.install("FileDescriptorStoreMax=9")
			s.listen("ListenStream="+address, "FileDescriptorName=web")
			p := s.start()
			p.Do("open", "it", "passed", "web")
			p.Do("store", "dup", "it")
			p.Do("barrier")
			s.shows("NFileDescriptorStore=1")
			next := s.restart()
			if next.Names() != "web dup" || next.Raw[0].Inode != next.Raw[1].Inode || next.Raw[0].Cookie != next.Raw[1].Cookie {
				s.Errorf("came back: %+v, want one socket as web and as dup", next.Raw)
			}
			if len(next.Passed) != 1 || next.Passed[0].Name != "web" || !slices.Equal(next.Duplicates, []string{"dup"}) {
				s.Errorf("package activation has %+v, and %v as duplicates", next.Passed, next.Duplicates)
			}
			next.Do("remove", "dup")
			next.Do("barrier")
			s.shows("NFileDescriptorStore=0")
			if names := s.restart().Names(); names != "web" {
				s.Errorf("after its removal came %s", names)
			}
		}},
		{name: "more than LimitNOFILE= allows fail the next start", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=100", "LimitNOFILE=64:4096")
			s.start().Do("many", "80")
			s.shows("NFileDescriptorStore=80")
			s.exits(s.Restart(s.ctx, s.service()), 1)
			s.shows("ActiveState=failed", "ExecMainStatus=202", "NFileDescriptorStore=0")
		}},
	}
}

// wantContents fails unless just these memfds were passed, NAME=CONTENT each.
func wantContents(p *probe.Probe, want ...string) {
	p.T.Helper()
	var got []string
	for _, r := range p.Raw {
		got = append(got, r.Name+"="+r.Content)
	}
	if !slices.Equal(got, want) {
		p.T.Errorf("passed were %q, want %q", got, want)
	}
}
