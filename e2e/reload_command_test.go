package e2e

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

const reloadCommand = "/usr/local/bin/cutover-reload"

// An attack is what a compromised service does to the reload command, which runs as root.
type attack struct {
	name    string
	args    []string // of the program impostor
	dropIn  string
	says    string   // part of the journal of the service
	silent  []string // texts that are not in the journal
	outcome string   // ReloadResult=
}

var attacks = []attack{
	{name: "a link to the socket of another service", args: []string{"link", "/run/other.sock"},
		says: "cutover-reload: the main process does not answer: connect to /run/cutover-http/control.sock: a symbolic link, not a socket", outcome: "exit-code"},
	{name: "a child that answers", args: []string{"child"},
		says: "cutover-reload: control socket belongs to process ", silent: []string{"asked"}, outcome: "exit-code"},
	{name: "terminal sequences, forged lines and priorities", args: []string{"lie"},
		says:   "cutover-reload: reexec: start: \\x1b]0;owned\\a\\x1b[2J\\u202etxt\ncutover-reload: <0>disk failure, run rm -rf /\n",
		silent: []string{"\x1b", "\n<0>", "\ndisk failure"}, outcome: "exit-code"},
	{name: "no answer", args: []string{"hang"}, dropIn: "TimeoutStartSec=2s\n", outcome: "timeout"},
}

// Each attack costs a reload that fails, and nothing else. The reload command of the units
// runs as root and outside of the sandbox.
//
// SECURITY.md names these attacks.
func TestCompromisedServiceCannotMisuseTheReloadCommand(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		outer := emptySite(t, root)
		outer.must(outer.machine.CopyFile(program(t, "../reexec/cmd/cutover-reload", "v1"), reloadCommand))
		outer.must(outer.machine.CopyFile(program(t, "./testdata/impostor", "v1"), "/usr/local/bin/impostor"))
		outer.install("other.service", "[Service]\nType=notify\nExecStart=/usr/local/bin/impostor listen /run/other.sock\n")
		outer.must(outer.machine.Start(outer.ctx, "other.service"))
		for _, a := range attacks {
			t.Run(a.name, func(t *testing.T) { outer.in(t).suffer(a, root.Version) })
		}
		for prefix, want := range prefixes {
			if prefix != "!" && !thorough() {
				continue // reloads without a prefix and with + succeed in other stories
			}
			t.Run("prefix "+prefix, func(t *testing.T) { outer.in(t).reloadWith(prefix, want, root.Version) })
		}
		if text, err := outer.machine.Log(outer.ctx, "other.service"); err != nil || strings.Contains(text, "connected") {
			t.Errorf("the other service was reached: %v\n%s", err, text)
		}
	})
}

// suffer has the service attack its reload command.
func (s *site) suffer(a attack, version int) {
	s.Helper()
	d := daemon(version)
	d.Hardening, d.Binary, d.Args, d.ReloadCommand = units.Strict, "/usr/local/bin/impostor", a.args, reloadCommand
	files, err := d.Units()
	s.must(err)
	files = append(files, units.File{Name: unitName + ".d/attack.conf", Text: "[Service]\n" + a.dropIn})
	s.put(files)
	defer s.clear(files)
	earlier, err := s.machine.Log(s.ctx, unitName)
	s.must(err)
	s.must(s.machine.Start(s.ctx, unitName))
	before := s.mainPID()
	s.reloads(1)
	if state, result, now := s.show("ActiveState"), s.show("ReloadResult"), s.mainPID(); state != "active" || result != a.outcome || now != before {
		s.Errorf("ActiveState=%s, ReloadResult=%s, main process %d, want active, %s, %d", state, result, now, a.outcome, before)
	}
	text, err := s.machine.Log(s.ctx, unitName)
	s.must(err)
	text = strings.TrimPrefix(text, earlier)
	if !strings.Contains(text, a.says) {
		s.Errorf("the journal has no %q:\n%s", a.says, text)
	}
	for _, part := range a.silent {
		if strings.Contains(text, part) {
			s.Errorf("the journal has %q:\n%s", part, text)
		}
	}
	if out := s.command("journalctl", "--quiet", "--unit="+unitName, "--priority=crit"); out != "" {
		s.Errorf("messages of the priority that the service has chosen: %s", out)
	}
}

// prefixes are those of ExecReload=, and the result of each with cutover-reload in the
// strictest sandbox. With ! the command is root without the capability to connect to the
// socket of the service.
var prefixes = map[string]string{"": "success", "+": "success", "!": "exit-code"}

// reloadWith upgrades the example with each of the prefixes.
func (s *site) reloadWith(prefix, want string, version int) {
	s.Helper()
	d := daemon(version)
	d.Hardening, d.ReloadCommand = units.Strict, reloadCommand
	files, err := d.Units()
	s.must(err)
	files = append(files, units.File{Name: unitName + ".d/prefix.conf", Text: "[Service]\nExecReload=\nExecReload=" + prefix + reloadCommand + "\n"})
	s.put(files)
	defer s.clear(files)
	s.deploy(example(s, "v1"))
	s.must(s.machine.Start(s.ctx, unitName))
	s.deploy(example(s, "v2"))
	_ = s.machine.Reload(s.ctx, unitName) // ReloadResult= has more
	if got := s.show("ReloadResult"); got != want || want == "success" && s.get("/").version != "v2" {
		text, _ := s.machine.Log(s.ctx, unitName)
		s.Errorf("ReloadResult=%s with the prefix %q, want %s\n%s", got, prefix, want, tail(text, 10))
	}
}
