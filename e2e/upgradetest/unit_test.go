//go:build linux

package upgradetest_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// newManager starts a manager whose services are of no interest.
func newManager(t testing.TB, version int) *upgradetest.Manager {
	t.Helper()
	m, err := upgradetest.NewManager(upgradetest.Options{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

const someService = "[Service]\nExecStart=/bin/true\n"

func TestTimeSpansAreShownAsSystemdDoes(t *testing.T) {
	m := newManager(t, 0)
	for text, want := range map[string]string{
		"90": "1min 30s", "1min 1.5": "1min 1.500000s", "infinity": "infinity", "0": "infinity", "300y": "infinity",
	} {
		if err := m.Install(t.Context(), "a.service", someService+"TimeoutStopSec="+text+"\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Show(t.Context(), "a.service", "TimeoutStopUSec"); got != want || err != nil {
			t.Errorf("TimeoutStopSec=%s is shown as %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestEmptyAssignmentsHaveTheEffectOfTheTable holds the manager to the table that e2e holds every
// systemd to.
func TestEmptyAssignmentsHaveTheEffectOfTheTable(t *testing.T) {
	table, err := os.ReadFile("../../units/testdata/empty.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := newManager(t, 0)
	show := func(text, property string) string {
		if err := m.Install(t.Context(), "a.service", someService+text); err != nil {
			t.Fatal(err)
		}
		value, _ := m.Show(t.Context(), "a.service", property) // "" for a property that the manager lacks
		return value
	}
	rows := 0
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] != "Service" || f[2] == "StandardInput" {
			continue
		}
		key, property := strings.Split(f[1], "=")[0], f[2]
		without := show("", property)
		if without == "" || key == "ExecStart" || key == "ExecStop" {
			continue
		}
		rows++
		want := map[string]string{"kept": show(f[1]+"\n", property), "reset": without}[f[3]]
		if got := show(f[1]+"\n"+key+"=\n", property); got != want || want == "" {
			t.Errorf("%s and %s=: %s = %q, want it %s: %q", f[1], key, property, got, f[3], want)
		}
	}
	if rows < 8 {
		t.Errorf("%d rows", rows)
	}
}

func TestLinesThatSystemdCannotReadAreIgnored(t *testing.T) {
	m := newManager(t, 0)
	text := "Restart=no\n[Service\n" + someService + "nonsense\n=1\nRestart=\\\n# a comment\n  ; another\nalways\n"
	if err := m.Install(t.Context(), "a.service", text); err != nil {
		t.Fatal(err)
	}
	log, err := m.Log(t.Context(), "a.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a.service:1: ", "a.service:2: ", "a.service:5: ", "a.service:6: "} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if got, err := m.Show(t.Context(), "a.service", "Restart"); got != "always" || err != nil {
		t.Errorf("Restart = %q, %v, want always", got, err)
	}
}

func TestWhatCannotBeReadIsIgnoredWithAWarning(t *testing.T) {
	m := newManager(t, 0)
	for _, line := range []string{
		"NoSuchSetting=1", "ProtectSystem=strict", "DynamicUser=yes", "TimeoutStopSec=soon", "TimeoutStartSec=600000y", "RestartSec=5.", "Restart=maybe", "KillSignal=SIGNONE",
		"FileDescriptorStoreMax=-1", "LimitNOFILE=many", "FileDescriptorStorePreserve=yes", "ReloadSignal=SIGUSR1", "Type=notify-reload",
		"SendSIGKILL=perhaps", "UMask=9", "RestartForceExitStatus=256", `Environment="open`, "RuntimeDirectory=a ../b",
	} {
		name := strings.SplitN(line, "=", 2)[0]
		if err := m.Install(t.Context(), name+".service", someService+line+"\n"); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		log, err := m.Log(t.Context(), name+".service")
		if err != nil || !strings.Contains(log, name+"=") || !strings.Contains(log, "ignoring") {
			t.Errorf("%s: log %q, %v, want a warning", line, log, err)
		}
	}
}

func TestWhatATestWouldNoticeIsRefused(t *testing.T) {
	m := newManager(t, 0)
	for _, line := range []string{
		"Type=forking", "Type=oneshot", "Type=dbus", "User=nobody", "ExitType=cgroup", "PIDFile=/run/x", "OpenFile=/etc/passwd",
		"EnvironmentFile=/etc/default/x", "RootDirectory=/srv", "StandardInput=socket", "PrivatePIDs=yes", "StateDirectory=x",
	} {
		err := m.Install(t.Context(), "a.service", someService+line+"\n")
		if err == nil || !strings.Contains(err.Error(), line) || !strings.Contains(err.Error(), "not supported") {
			t.Errorf("%s: %v, want an error that names it", line, err)
		}
	}
	for _, line := range []string{"Accept=yes", "ListenNetlink=route", "ListenMessageQueue=/x", "ListenSpecial=/dev/null", "SocketUser=nobody"} {
		err := m.Install(t.Context(), "a.socket", "[Socket]\nListenStream=1\n"+line+"\n")
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: %v, want an error that names it", line, err)
		}
	}
}

func TestUnitsThatAreRefused(t *testing.T) {
	m := newManager(t, 0)
	for name, text := range map[string]string{
		"a.timer":     "[Timer]\n",
		"a":           someService,
		"a@.service":  someService,
		"d/a.service": someService,
		"b.service":   "[Service]\n",
		"c.service":   "[Service]\nExecStart=relative\n",
		"d.service":   someService + "ExecStart=/bin/true\n",
		"e.socket":    "[Socket]\n",
		"f.socket":    "[Socket]\nListenStream=nowhere\n",
		"g.service":   "[Service\n",
	} {
		if err := m.Install(t.Context(), name, text); err == nil {
			t.Errorf("%s was installed, want an error", name)
		}
		if state, err := m.Show(t.Context(), name, "LoadState"); state != "not-found" || err != nil {
			t.Errorf("%s is %s, %v afterwards", name, state, err)
		}
	}
}

func TestRefusedTextLeavesTheOldOne(t *testing.T) {
	m := newManager(t, 0)
	if err := m.Install(t.Context(), "a.service", someService+"Restart=always\n"); err != nil {
		t.Fatal(err)
	}
	if err := m.Install(t.Context(), "a.service", someService+"Type=forking\n"); err == nil {
		t.Error("Type=forking was installed")
	}
	if got, err := m.Show(t.Context(), "a.service", "Restart"); got != "always" || err != nil {
		t.Errorf("Restart = %q, %v, want that of the old text", got, err)
	}
}

func TestDropIns(t *testing.T) {
	m := newManager(t, 0)
	for _, f := range [][2]string{
		{"a.service.d/20-second.conf", "[Service]\nRestart=always\n"},
		{"a.service", someService + "Restart=no\n"},
		{"a.service.d/10-first.conf", "[Service]\nRestart=on-failure\nTimeoutStopSec=7\n"},
	} {
		if err := m.Install(t.Context(), f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"Restart": "always", "TimeoutStopUSec": "7s"} {
		if got, err := m.Show(t.Context(), "a.service", name); got != want || err != nil {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestPropertyThatIsNotKept(t *testing.T) {
	m := newManager(t, 0)
	if err := m.Install(t.Context(), "a.service", someService); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Show(t.Context(), "a.service", "CPUWeight"); err == nil {
		t.Errorf("CPUWeight = %q, want an error", got)
	}
	if got, err := m.Show(t.Context(), "a.service", "FileDescriptorStorePreserve"); got != "" || err != nil {
		t.Errorf("FileDescriptorStorePreserve on 252 = %q, %v, want nothing", got, err)
	}
}

func FuzzUnitText(f *testing.F) {
	names := []string{"a.service", "a.socket", "a@b.service", "a.service.d/x.conf"}
	f.Add(uint8(0), someService)
	f.Add(uint8(1), "[Socket]\nListenStream=/run/x.sock\nFileDescriptorName=a:b\nAccept=no\n")
	f.Add(uint8(2), "[Unit]\nDescription=%n %% %i\n[Service]\nType=notify\nExecStart=-@/bin/sh sh -c 'echo $$ ${A}' ; /bin/true\\\n  x\n"+
		"Environment=\"A=1 2\" B=\\s\nTimeoutStopSec=1min 30.5s\nLimitNOFILE=1:2\nRestartForceExitStatus=1 SIGKILL\n")
	f.Add(uint8(3), "[Service]\nExecStart=\n")
	m := newManager(f, 262)
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		name := names[int(which)%len(names)]
		err := m.Install(t.Context(), name, text)
		if errors.Is(err, upgradetest.ErrClosed) {
			t.Fatal("the manager is gone")
		}
		unit, _, _ := strings.Cut(name, ".d/")
		if state, serr := m.Show(t.Context(), unit, "ActiveState"); serr != nil || state != "inactive" {
			t.Errorf("ActiveState of %q after Install (%v): %q, %v", name, err, state, serr)
		}
	})
}
