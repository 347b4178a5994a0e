package conformance_test

import (
	"strings"
)

// statusScenarios are about what a service says of itself and others can read.
func statusScenarios() []scenario {
	return []scenario{
		{name: "STATUS= is shown, replaced and cleared", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("STATUS=reading 42 files")
			s.shows("StatusText=reading 42 files")
			p.Send("STATUS=done; größer als €")
			s.shows("StatusText=done; größer als €")
			p.Send("READY=1") // says nothing about it
			s.shows("StatusText=done; größer als €")
			p.Send("STATUS=")
			s.shows("StatusText=")
		}},
		{name: "STATUS= outlives the process and not the next start", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("STATUS=last words")
			p.Exit(3)
			s.ends()
			s.shows("StatusText=last words", "Result=exit-code")
			s.start()
			s.shows("StatusText=")
		}},
		{name: "Status folds what would break the line", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("STATUS=open config:\nno such file\r\nREADY=1\x00\x1b[31m\xff\ufffe.")
			s.shows("StatusText=open config:; no such file; READY=1  [31m\ufffd\ufffd.")
		}},
		{name: "Status cuts off what does not fit", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("STATUS="+strings.Repeat("ä", 3000), "ERRNO=5")
			room := 4096 - len("STATUS=") - len("\nERRNO=5") - len("...")
			s.shows("StatusText="+strings.Repeat("ä", room/2)+"...", "StatusErrno=5")
		}},
		{name: "STATUS= that is not UTF-8 clears the line", play: func(s *scene) {
			s.install()
			p := s.start()
			for _, text := range []string{"a\xff", "a surrogate \xed\xa0\x80", "a noncharacter \ufffe", "one of another plane \U0001ffff"} {
				p.Send("STATUS=before", "ERRNO=0")
				p.SendRaw("STATUS=" + text + "\nERRNO=5")
				s.shows("StatusText=", "StatusErrno=5")
			}
		}},
		{name: "ERRNO= is shown", play: func(s *scene) {
			s.install()
			p := s.start()
			s.shows("StatusErrno=0")
			p.Send("ERRNO=5")
			s.shows("StatusErrno=5")
			p.SendRaw("ERRNO=ENOENT")
			s.shows("StatusErrno=2")
			p.SendRaw("ERRNO=-1")
			p.SendRaw("ERRNO=4096")
			p.SendRaw("ERRNO=ENONSENSE")
			s.shows("StatusErrno=2")
			p.Send("ERRNO=0")
			s.shows("StatusErrno=0")
		}},
		{name: "BUSERROR= and VARLINKERROR= are shown", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("BUSERROR=org.freedesktop.DBus.Error.TimedOut", "VARLINKERROR=org.varlink.service.InvalidParameter")
			s.shows(since(s, otherErrors, "StatusBusError=org.freedesktop.DBus.Error.TimedOut", "StatusBusError="),
				since(s, otherErrors, "StatusVarlinkError=org.varlink.service.InvalidParameter", "StatusVarlinkError="))
			p.Send("BUSERROR=", "VARLINKERROR=")
			s.shows("StatusBusError=", "StatusVarlinkError=")
		}},
		{name: "EXIT_STATUS= and X_ fields change nothing", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("EXIT_STATUS=7", "X_CUTOVER_SHARD=3", "STATUS=still here")
			s.shows("ActiveState=active", "SubState=running", "StatusText=still here", "ExecMainStatus=0", "MainPID="+p.ID())
		}},
		{name: "several assignments in one message", play: func(s *scene) {
			s.install("WatchdogSec=1min", "FileDescriptorStoreMax=3")
			outcome := s.begin(s.Start)
			p := s.next()
			p.Send("STATUS=up", "READY=1", "ERRNO=5", "WATCHDOG_USEC=120000000", "EXTEND_TIMEOUT_USEC=1000000", "X_A=1")
			s.must(outcome())
			s.shows("SubState=running", "StatusText=up", "StatusErrno=5", "WatchdogUSec=2min")
		}},
	}
}
