package proof

import (
	"fmt"
	"net"
	"strings"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A suspect explains lost requests. Its text has the line of the unit or the call of the
// program that is the likely cause.
type suspect struct {
	kinds []record.Failure
	when  func(s *scene, q record.Request) bool // nil: always
	text  func(s *scene, q record.Request) string
}

var (
	unreachable = []record.Failure{record.Refused, record.DialFailed}
	brokenOff   = []record.Failure{record.Reset, record.EOF, record.Unserved, record.Handshake}
	late        = []record.Failure{record.Timeout, record.DialTimeout, record.NotSent}
)

// suspects are the explanations, the most certain first.
var suspects = []suspect{
	{unreachable, (*scene).unlisted, func(s *scene, q record.Request) string {
		return fmt.Sprintf("no .socket unit listens on %s, so the socket closes with the process. A .socket unit with ListenStream=%[1]s keeps it open, "+
			"or the fd store (%s), for a program that binds by Upgrader.Listen", s.r.loads[q.Load].Address, s.units.says("FileDescriptorStoreMax"))
	}},
	{unreachable, nil, func(s *scene, _ record.Request) string {
		return fmt.Sprintf("systemd has closed the socket unit: a start limit was reached (%s), or the socket stops with the service (PartOf=, BindsTo=)",
			s.units.says("StartLimitIntervalSec"))
	}},
	{brokenOff, (*scene).afterRestart, func(s *scene, _ record.Request) string {
		return fmt.Sprintf("the program ends at SIGTERM without finishing its requests. rehttp.Serve and Upgrader.Drain finish them; "+
			"a signal handler of the program with os.Exit does not. In the unit: %s, %s", s.units.says("KillMode"), s.units.says("TimeoutStopSec"))
	}},
	{brokenOff, func(s *scene, q record.Request) bool { return q.Kept }, func(s *scene, _ record.Request) string {
		return "the replaced process closes kept connections under a request: the program does not drain. " +
			"rehttp.Serve (for an http.Server) or Upgrader.Drain before the end of main is missing, or http.Server.Shutdown or Close is called too early"
	}},
	{brokenOff, nil, func(s *scene, _ record.Request) string {
		return "a process has accepted the connection and has ended before its answer: Accept is called on a listener that is not the one of Upgrader.Listen, " +
			"or main returns before Upgrader.Drain has"
	}},
	{[]record.Failure{record.Truncated}, nil, func(s *scene, _ record.Request) string {
		return "the replaced process ends within answers: the drain deadline (reexec.Options.Drain) is shorter than an answer takes, or the program does not wait for Upgrader.Drain"
	}},
	{late, nil, func(s *scene, _ record.Request) string {
		return fmt.Sprintf("the connections wait in a queue from which no process accepts: the new process is ready before it serves (Upgrader.Ready too early, or %s), "+
			"or it does not use the socket that it got", s.units.says("Type"))
	}},
	{[]record.Failure{record.BadAnswer}, nil, func(s *scene, _ record.Request) string {
		return "a process answers before it can: Upgrader.Ready is called before the program is initialised, or a health check fails while the process drains"
	}},
}

// cause returns a sentence with the likely cause of the losses.
func (s *scene) cause(lost []record.Request) string {
	for _, p := range suspects {
		for _, q := range lost {
			if has(p.kinds, q.Failure) && (p.when == nil || p.when(s, q)) {
				return "Likely cause: " + p.text(s, q) + "."
			}
		}
	}
	return "The cause is not known. " + s.journal(s.ctx)
}

func has(kinds []record.Failure, kind record.Failure) bool {
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// unlisted reports whether no socket unit listens on the address of a request.
func (s *scene) unlisted(q record.Request) bool {
	address := s.r.loads[q.Load].Address
	_, port, err := net.SplitHostPort(address)
	for _, l := range s.units.listens() {
		if l.value == address || err == nil && (l.value == port || strings.HasSuffix(l.value, ":"+port)) {
			return false
		}
	}
	return true
}

// afterRestart reports whether a request was lost in a restart.
func (s *scene) afterRestart(q record.Request) bool {
	e := s.eventAt(q.End())
	return e != nil && e.Kind == record.Restart
}
