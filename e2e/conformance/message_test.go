package conformance_test

import (
	"fmt"
	"strings"
)

// messageScenarios are about what the manager takes for a message.
func messageScenarios() []scenario {
	return []scenario{
		{name: "4096 bytes are read and 4097 are not", play: func(s *scene) {
			s.install()
			p := s.start()
			p.SendRaw(sized("STATUS=fits", 4096))
			s.shows("StatusText=fits")
			p.SendRaw(sized("STATUS=does not fit", 4097))
			s.shows("StatusText=fits")
			if a := p.Begin("send", "X_A="+strings.Repeat("x", 4097-len("X_A="))).Wait(); !strings.Contains(a.Err, "4097") {
				s.Errorf("package notify sends 4097 bytes, or says %.80q", a.Err)
			}
		}},
		{name: "a NUL drops the message, one at the end does not", play: func(s *scene) {
			s.install()
			p := s.start()
			p.SendRaw("STATUS=ends in NUL\x00")
			s.shows("StatusText=ends in NUL")
			p.SendRaw("STATUS=has a NUL\nX_A=\x00b")
			s.shows("StatusText=ends in NUL")
			p.SendRaw("STATUS=ends in two\x00\x00")
			s.shows("StatusText=ends in NUL")
		}},
		{name: "the first of two equal keys counts", play: func(s *scene) {
			s.install()
			p := s.start()
			p.SendRaw("STATUS=first\nERRNO=1\nSTATUS=second\nERRNO=2")
			s.shows("StatusText=first", "StatusErrno=1")
		}},
		{name: "LF and CR separate assignments", play: func(s *scene) {
			s.install()
			p := s.start()
			p.SendRaw("STATUS=one\rERRNO=3\r\n\n\nNONSENSE\n=\nX=\nUNKNOWN=1\n")
			s.shows("StatusText=one", "StatusErrno=3")
		}},
		{name: "values and keys are exact", play: func(s *scene) {
			s.install()
			outcome := s.begin(s.Start)
			p := s.next()
			for _, text := range []string{"READY=1 ", " READY=1", "READY=0", "READY=", "READY=11", "ready=1", "XREADY=1", "READY 1"} {
				p.SendRaw(text)
			}
			s.shows("SubState=start")
			p.SendRaw("READY=1\n")
			s.must(outcome())
		}},
		{name: "an empty message does no harm", play: func(s *scene) {
			s.install()
			p := s.start()
			p.SendRaw("")
			p.SendRaw("\n")
			p.Send("STATUS=on")
			s.shows("StatusText=on", "SubState=running")
		}},
		{name: "a barrier is answered after a message that was dropped", play: func(s *scene) {
			s.install()
			p := s.start()
			p.SendRaw(sized("STATUS=dropped", 5000)) // which ends with a barrier
			s.shows("StatusText=")
		}},
		{name: "BARRIER=1 must be alone", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Do("open", "r", "pipe", "w")
			p.SendRaw("STATUS=with a barrier\nBARRIER=1", "r")
			p.SendRaw("STATUS=with one, too\nBARRIER=1")
			s.shows("StatusText=")
		}},
		{name: "253 descriptors in one message", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=300")
			p := s.start()
			var keys []string
			for i := range 254 {
				keys = append(keys, fmt.Sprint("f", i))
				p.Do("open", keys[i], "memfd", keys[i])
			}
			p.SendRaw("FDSTORE=1\nFDNAME=batch", keys[:253]...)
			s.shows("NFileDescriptorStore=253")
			if a := p.Begin("send raw", append([]string{"FDSTORE=1"}, keys...)...).Wait(); a.Err == "" {
				s.Error("the kernel sends 254 descriptors at once")
			}
		}},
	}
}

// sized returns a message of n bytes that begins with text.
func sized(text string, n int) string {
	return text + "\nX_PAD=" + strings.Repeat("x", n-len(text)-len("\nX_PAD="))
}
