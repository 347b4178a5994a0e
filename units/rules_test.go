package units_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

func check(files []units.File) []units.Finding {
	findings, _ := units.Check(files, units.Options{})
	return findings
}

func ids(findings []units.Finding) (list []string) {
	for _, f := range findings {
		list = append(list, f.Rule)
	}
	return list
}

// examined is how a rule's example is looked at: rules on changes compare it with
// the good units.
func examined(t *testing.T, rule units.Rule, example string) []units.Finding {
	t.Helper()
	good := mustUnits(t, myapp())
	if _, shown, ok := strings.Cut(example, "systemctl show -P "); ok {
		i := newInstallation(t)
		property, value, _ := strings.Cut(shown, " myapp.service: ")
		i.change[property], _, _ = strings.Cut(value, "\n")
		findings, _, err := i.check("myapp")
		if err != nil {
			t.Fatal(err)
		}
		return findings
	}
	if strings.HasSuffix(rule.ID, "restart-needed") {
		return units.Changes(good, apply(t, good, example))
	}
	return check(apply(t, good, example))
}

func TestEachRuleFindsItsBadUnitAndPassesItFixed(t *testing.T) {
	rules := units.Rules()
	if len(rules) < 25 {
		t.Fatalf("%d rules", len(rules))
	}
	for _, r := range rules {
		t.Run(r.ID, func(t *testing.T) {
			bad := examined(t, r, r.Bad)
			if !slices.Contains(ids(bad), r.ID) {
				t.Errorf("not found in %q, but %v", r.Bad, bad)
			}
			for _, f := range bad {
				if f.Rule == r.ID && (f.Line == 0 || f.File == "" || f.Wrong == "" || f.Unit == "" || f.Severity != r.Severity) {
					t.Errorf("incomplete: %+v", f)
				}
			}
			if fixed := examined(t, r, r.Fixed); len(fixed) > 0 {
				t.Errorf("found in %q: %v", r.Fixed, fixed)
			}
		})
	}
}

// TestTableOfDirectivesHasTheRulesOfEachLine compares the lines that the rules find with the
// rules in directives.txt.
func TestTableOfDirectivesHasTheRulesOfEachLine(t *testing.T) {
	table, err := os.ReadFile("directives.txt")
	if err != nil {
		t.Fatal(err)
	}
	anywhere := []string{"syntax", "invalid-value", "wrong-section", "not-in-version", "unknown-name"}
	for _, r := range units.Rules() {
		if strings.Contains(r.Bad, "systemctl show") || strings.HasSuffix(r.ID, "-needed") {
			continue
		}
		for _, f := range examined(t, r, r.Bad) {
			key, _, isSetting := strings.Cut(lineOf(t, r.Bad, f), "=")
			listed := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(key) + ` +\S+ +rule [^:]*\b` + f.Rule + `[ :]`)
			if isSetting && !slices.Contains(anywhere, f.Rule) && !listed.Match(table) {
				t.Errorf("%s finds %s=, whose line in directives.txt does not name the rule", f.Rule, key)
			}
		}
	}
}

// lineOf returns the line of a finding in a rule's example.
func lineOf(t *testing.T, example string, f units.Finding) string {
	t.Helper()
	for _, file := range apply(t, mustUnits(t, myapp()), example) {
		if file.Name == f.File {
			return strings.Split(file.Text, "\n")[f.Line-1]
		}
	}
	return ""
}

func TestEachRuleHasAPage(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range units.Rules() {
		if seen[r.ID] || !regexp.MustCompile(`^[a-z-]+$`).MatchString(r.ID) {
			t.Errorf("rule %q: twice, or no id", r.ID)
		}
		seen[r.ID] = true
		page := r.Page()
		for _, part := range []string{r.ID, r.Title, "Will happen: ", "Fix: ", "Wrong:", "Right:", "    ["} {
			if part == "" || !strings.Contains(page, part) {
				t.Errorf("page of %s has no %q:\n%s", r.ID, part, page)
			}
		}
		for line := range strings.Lines(r.Why) {
			if strings.HasSuffix(line, "..") || r.Why == "" {
				t.Errorf("rule %s: why is %q", r.ID, r.Why)
			}
		}
	}
}

func TestFindingSaysWhere(t *testing.T) {
	files := mustUnits(t, myapp())
	dropIn := units.File{Name: "myapp.service.d/10-kill.conf", Path: "/etc/systemd/system/myapp.service.d/10-kill.conf",
		Text: "# ours\n[Service]\n\nKillMode=\\\n  mixed\n"}
	findings := check(append(files, dropIn))
	if len(findings) != 1 {
		t.Fatal(findings)
	}
	f := findings[0]
	if f.Rule != "kill-mode" || f.File != dropIn.Path || f.Line != 4 || f.Unit != "myapp.service" {
		t.Errorf("%+v", f)
	}
	if got := f.String(); !strings.HasPrefix(got, dropIn.Path+":4: error: KillMode=mixed") {
		t.Errorf("String() = %q", got)
	}
}

func TestDropInsAreMergedAsSystemdDoes(t *testing.T) {
	in := func(dir, name, text string) units.File {
		return units.File{Name: dir + "/" + name, Text: "[Service]\n" + text + "\n"}
	}
	for _, c := range []struct {
		name  string
		files []units.File
		want  []string
	}{
		{"last counts", []units.File{in("myapp.service.d", "b.conf", "KillMode=control-group"), in("myapp.service.d", "a.conf", "KillMode=mixed")}, nil},
		{"order of names", []units.File{in("myapp.service.d", "a.conf", "KillMode=control-group"), in("myapp.service.d", "b.conf", "KillMode=mixed")}, []string{"kill-mode"}},
		{"first of a name", []units.File{in("myapp.service.d", "a.conf", "KillMode=control-group"), in("myapp.service.d", "a.conf", "KillMode=mixed")}, nil},
		{"for all services", []units.File{in("service.d", "a.conf", "KillMode=mixed")}, []string{"kill-mode"}},
		{"own hides those for all", []units.File{in("service.d", "a.conf", "KillMode=mixed"), in("myapp.service.d", "a.conf", "")}, nil},
		{"no conf", []units.File{in("myapp.service.d", "a.conf.bak", "KillMode=mixed")}, nil},
		{"of another", []units.File{in("other.service.d", "a.conf", "KillMode=mixed")}, nil},
		{"empty resets a list", []units.File{in("myapp.service.d", "a.conf", "ExecReload=")}, []string{"exec-reload-missing"}},
		{"reset and set", []units.File{in("myapp.service.d", "a.conf", "ExecReload=\nExecReload=/usr/bin/ctl reload")}, nil},
		{"a dependency cannot be taken back", []units.File{in("myapp.service.d", "a.conf", "[Unit]\nRequires=")}, nil},
		{"an empty limit is ignored", []units.File{in("myapp.service.d", "a.conf", "LimitNOFILE=")}, nil},
		{"an empty time is ignored", []units.File{in("myapp.service.d", "a.conf", "TimeoutStopSec=")}, nil},
		{"an empty mode is the default", []units.File{in("myapp.service.d", "a.conf", "KillMode=mixed\nKillMode=")}, nil},
		{"0 is no timeout", []units.File{in("myapp.service.d", "a.conf", "TimeoutStartSec=0")}, []string{"start-timeout-infinite"}},
		{"an ignored value leaves the line before", []units.File{in("myapp.service.d", "a.conf", "KillMode=maybe")}, []string{"invalid-value"}},
	} {
		if got := ids(check(append(mustUnits(t, myapp()), c.files...))); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestConnectionsNeedASignalAndRoom(t *testing.T) {
	for dropIn, want := range map[string][]string{
		"":                            nil,
		"RestartKillSignal=12":        nil,
		"RestartKillSignal=SIGTERM":   {"restart-kill-signal"},
		"RestartKillSignal=":          nil, // systemd ignores it
		"FileDescriptorStoreMax=64":   {"fd-store-small"},
		"FileDescriptorStoreMax=0":    {"fd-store"},
		"LimitNOFILE=1024:524288":     {"fd-limit"},
		"FileDescriptorStoreMax=1026": nil,
	} {
		d := myapp()
		d.Conns = 1024
		files := append(mustUnits(t, d), units.File{Name: "myapp.service.d/a.conf", Text: "[Service]\n" + dropIn + "\n"})
		if got := ids(check(files)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", dropIn, got, want)
		}
	}
}

// TestSignalThatAProgramMayNotKnow has units that say of their program that it moves
// no connections, and one that says nothing.
func TestSignalThatAProgramMayNotKnow(t *testing.T) {
	signal := units.File{Name: "myapp.service.d/a.conf", Text: "[Service]\nRestartKillSignal=SIGUSR2\n"}
	if got := ids(check(append(mustUnits(t, myapp()), signal))); !slices.Equal(got, []string{"restart-kill-signal"}) {
		t.Errorf("with Conns=0: %v", got)
	}
	foreign := units.File{Name: "myapp.service", Text: "[Service]\nExecStart=/usr/bin/myapp\n"}
	if got := ids(mustCheckAll([]units.File{foreign, signal})); slices.Contains(got, "restart-kill-signal") {
		t.Errorf("with nothing said: %v", got)
	}
}

func TestTypeIsReadByVersion(t *testing.T) {
	const two = "[Service]\nType=notify\nType=notify-reload\n"
	for version, want := range map[int][]string{247: nil, 252: nil, 257: {"notify-reload-twice"}} {
		d := myapp()
		d.Systemd = version
		files := append(mustUnits(t, d), units.File{Name: "myapp.service.d/a.conf", Text: two})
		if got := ids(check(files)); !slices.Equal(got, want) {
			t.Errorf("systemd %d: %v, want %v", version, got, want)
		}
	}
}

// TestOthersAreLeftAlone has a unit by the rules of another program.
func TestOthersAreLeftAlone(t *testing.T) {
	other := units.File{Name: "proxy.service", Text: "[Service]\nType=notify\nExecStart=/bin/true\nExecReload=/bin/kill -USR2 $MAINPID\nKillMode=mixed\n"}
	findings, applied := units.Check([]units.File{other}, units.Options{})
	if len(findings) != 0 || applied != 0 {
		t.Errorf("%v, applied to %d", findings, applied)
	}
	findings, applied = units.Check([]units.File{other}, units.Options{All: true})
	if !slices.Contains(ids(findings), "kill-mode") || applied != 1 {
		t.Errorf("with All: %v, applied to %d", findings, applied)
	}
}
