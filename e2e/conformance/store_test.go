package conformance_test

import (
	"fmt"
	"slices"
	"strings"
)

// storeScenarios are about what goes into the file descriptor store and out of it.
func storeScenarios() []scenario {
	return []scenario{
		{name: "what is stored comes back by its name", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4")
			p := s.start()
			s.shows("FileDescriptorStoreMax=4", "NFileDescriptorStore=0")
			p.keep("a", "b")
			s.shows("NFileDescriptorStore=2")
			wantContents(s.restart(), "b=b", "a=a")
			s.shows("NFileDescriptorStore=2") // it stays there
		}},
		{name: "$FDSTORE says how much fits", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4", "NotifyAccess=all", "ExecReload=PROBE control")
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			for _, who := range []*probe{p, control} {
				if got := who.Env["FDSTORE"]; got != since(s, storeVariable, "4", "") {
					s.Errorf("%s has FDSTORE=%q", who.Role, got)
				}
			}
			control.exit(0)
			s.must(outcome())
		}},
		{name: "the newest comes first, a daemon-reload turns that around", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4", "[Unit]", "StartLimitIntervalSec=0")
			s.start().keep("a", "b", "c", "d")
			wantContents(s.restart(), "d=d", "c=c", "b=b", "a=a")
			s.must(s.DaemonReload(s.ctx))
			wantContents(s.restart(), "a=a", "b=b", "c=c", "d=d")
			s.must(s.DaemonReload(s.ctx))
			s.must(s.DaemonReload(s.ctx))
			wantContents(s.restart(), "a=a", "b=b", "c=c", "d=d")
		}},
		{name: "one name may be that of several", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4")
			s.start().keep("a=same", "b=same", "c=other")
			wantContents(s.restart(), "other=c", "same=b", "same=a")
		}},
		{name: "an open file is stored once, under its first name", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=4")
			p := s.start()
			p.keep("first")
			p.do("store", "second", "first")
			p.send("STATUS=stored again")
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
				p.do("open", key, "memfd", key)
				p.raw("FDSTORE=1\n"+name, key)
			}
			wantContents(s.restart(), long+"=7", "has spaces=6", "=5", "stored=4", "stored=3", "stored=2", "stored=1", "stored=0")
		}},
		{name: "several files of one message all come back", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			keys := []string{"0", "1", "2", "3", "4", "5"}
			for _, k := range keys {
				p.do("open", k, "memfd", k)
			}
			p.raw("FDSTORE=1\nFDNAME=batch", keys...)
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
			p.keep("a", "b", "c")
			s.shows("NFileDescriptorStore=2")
			p.do("remove", "a")
			p.do("open", "d", "memfd", "d")
			p.do("open", "e", "memfd", "e")
			p.raw("FDSTORE=1\nFDNAME=de", "d", "e")
			s.shows("NFileDescriptorStore=2")
			s.install("FileDescriptorStoreMax=1") // with a daemon-reload
			s.shows("NFileDescriptorStore=1")
		}},
		{name: "without FileDescriptorStoreMax= nothing is stored", play: func(s *scene) {
			s.install()
			p := s.start()
			p.keep("a")
			s.shows("FileDescriptorStoreMax=0", "NFileDescriptorStore=0")
		}},
		{name: "FDSTOREREMOVE=1 takes out all of a name", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.keep("a", "b=x", "c=x", "d")
			p.do("remove", "x")
			p.do("remove", "never there")
			p.raw("FDSTOREREMOVE=1") // which one?
			s.shows("NFileDescriptorStore=2")
			p.do("open", "e", "memfd", "e")
			p.raw("FDSTOREREMOVE=1\nFDSTORE=1\nFDNAME=a", "e") // removing wins
			s.shows("NFileDescriptorStore=1")
			wantContents(s.restart(), "d=d")
		}},
		{name: "the empty name can be removed", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.keep("a")
			p.do("open", "e", "memfd", "e")
			p.raw("FDSTORE=1\nFDNAME=", "e")
			s.shows("NFileDescriptorStore=2")
			p.do("remove", "")
			wantContents(s.restart(), "a=a")
		}},
		{name: "what hangs up is dropped", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.do("open", "pipe", "pipe", "r")
			p.do("store", "pipe", "pipe")
			p.do("barrier")
			s.shows("NFileDescriptorStore=1")
			p.do("close", "pipe") // with the end that writes
			p.do("barrier")
			s.shows("NFileDescriptorStore=0")
			p.do("open", "tcp", "unconnected", "") // hung up from birth
			p.do("store", "tcp", "tcp")
			p.do("barrier")
			s.shows("NFileDescriptorStore=0")
		}},
		{name: "FDPOLL=0 keeps what hangs up", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.do("open", "pipe", "pipe", "r")
			p.do("open", "tcp", "unconnected", "")
			p.do("unpolled", "kept", "pipe", "tcp")
			p.do("close", "pipe")
			s.must(s.DaemonReload(s.ctx)) // it is remembered
			p.do("barrier")
			s.shows("NFileDescriptorStore=2")
			if names := s.restart().rawNames(); names != "kept kept" {
				s.Errorf("came back: %s", names)
			}
		}},
		{name: "what cannot be polled", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			p := s.start()
			p.do("open", "file", "file", "/proc/self/exe")
			p.do("store", "file", "file") // never hangs up
			p.do("open", "path", "path", "/")
			p.do("store", "path", "path") // refused
			p.do("barrier")
			s.shows("NFileDescriptorStore=1")
			p.do("unpolled", "path", "path")
			p.do("barrier")
			s.shows("NFileDescriptorStore=2")
		}},
		{name: "who may not send may not store", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=9")
			s.start().spawn("child").keep("a")
			s.shows("NFileDescriptorStore=0")
		}},
		{name: "a listener of a .socket that is stored comes twice", play: func(s *scene) {
			address := s.freeAddress("tcp", "127.0.0.1")
			s.install("FileDescriptorStoreMax=9")
			s.listen("ListenStream="+address, "FileDescriptorName=web")
			p := s.start()
			p.do("open", "it", "passed", "web")
			p.do("store", "dup", "it")
			p.do("barrier")
			s.shows("NFileDescriptorStore=1")
			next := s.restart()
			if next.rawNames() != "web dup" || next.Raw[0].Inode != next.Raw[1].Inode || next.Raw[0].Cookie != next.Raw[1].Cookie {
				s.Errorf("came back: %+v, want one socket as web and as dup", next.Raw)
			}
			if len(next.Passed) != 1 || next.Passed[0].Name != "web" || !slices.Equal(next.Duplicates, []string{"dup"}) {
				s.Errorf("package activation has %+v, and %v as duplicates", next.Passed, next.Duplicates)
			}
			next.do("remove", "dup")
			next.do("barrier")
			s.shows("NFileDescriptorStore=0")
			if names := s.restart().rawNames(); names != "web" {
				s.Errorf("after its removal came %s", names)
			}
		}},
		{name: "more than LimitNOFILE= allows fail the next start", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=100", "LimitNOFILE=64:4096")
			s.start().do("many", "80")
			s.shows("NFileDescriptorStore=80")
			s.exits(s.Restart(s.ctx, s.service()), 1)
			s.shows("ActiveState=failed", "ExecMainStatus=202", "NFileDescriptorStore=0")
		}},
	}
}

// wantContents fails unless just these memfds were passed, NAME=CONTENT each.
func wantContents(p *probe, want ...string) {
	p.s.Helper()
	var got []string
	for _, r := range p.Raw {
		got = append(got, r.Name+"="+r.Content)
	}
	if !slices.Equal(got, want) {
		p.s.Errorf("passed were %q, want %q", got, want)
	}
}
