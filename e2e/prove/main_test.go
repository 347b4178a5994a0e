package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/proof/record"
	"github.com/cutover-go/cutover/internal/needs"
)

func TestMain(m *testing.M) {
	machine.Init()
	os.Exit(m.Run())
}

// unit is a service of testdata/ways in one of its ways.
const unit = `[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/local/bin/ways -way %s -addr 127.0.0.1:%d -settings /etc/ways
ExecReload=%s
`

// boot returns a machine with prove, and with two services: one that is upgraded, and one
// whose reload executes the program in the same process, so that its connections end.
func boot(t *testing.T) *machine.Machine {
	t.Helper()
	needs.That(t, machine.Available())
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir, ".", "../testdata/ways")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	m, err := machine.Boot(t.Context(), machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"prove", "ways"} {
		if err := m.CopyFile(filepath.Join(dir, name), "/usr/local/bin/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.WriteFile("/etc/ways", []byte("version=1\nstart=0s\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"good.service": fmt.Sprintf(unit, "overlap", 8080, "/usr/local/bin/ways reload"),
		"bad.service":  fmt.Sprintf(unit, "exec", 8081, "/bin/kill -HUP $MAINPID"),
	} {
		if err := m.Install(t.Context(), name, text); err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// run runs prove in m and returns its exit status and its output.
func run(t *testing.T, m *machine.Machine, in string, args ...string) (status int, output string) {
	t.Helper()
	cmd := m.Command(t.Context(), "/usr/local/bin/prove", args...)
	cmd.Stdin = strings.NewReader(in)
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !asExit(err, &exit) {
		t.Fatalf("%v: %v\n%s", args, err, text)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

func asExit(err error, exit **exec.ExitError) (ok bool) {
	*exit, ok = err.(*exec.ExitError)
	return ok
}

func TestAServiceOfThisMachineIsProven(t *testing.T) {
	t.Parallel()
	m := boot(t)
	common := []string{"-n", "2", "-window", "500ms"}
	at := func(unit string, port int, more ...string) []string {
		return append(append(common, "-unit", unit, "-address", fmt.Sprintf("http://127.0.0.1:%d/stream?d=20ms&bytes=10", port)), more...)
	}
	status, text := run(t, m, "", at("good", 8080, "-yes", "-report", "/tmp/report.json")...)
	if status != proven || !strings.Contains(text, "ok: good.service was reloaded 2 times and lost nothing") {
		t.Errorf("exit status %d, want %d:\n%s", status, proven, text)
	}
	checkReport(t, m)
	before := mainPID(t, m)
	for _, answer := range []string{"", "n\n", "no\n"} {
		status, text := run(t, m, answer, at("good", 8080)...)
		if status != untested || !strings.Contains(text, "Reload good.service 2 times") || !strings.Contains(text, "nothing was reloaded") {
			t.Errorf("answer %q: exit status %d, want %d:\n%s", answer, status, untested, text)
		}
	}
	if after := mainPID(t, m); after != before {
		t.Errorf("main process %s after a no, want %s", after, before)
	}
	status, text = run(t, m, "y\n", at("bad", 8081)...)
	if status != refuted || !strings.Contains(text, "FAILED: bad.service") || !strings.Contains(text, "2 of 2 reloads left the main process as it was") {
		t.Errorf("exit status %d, want %d:\n%s", status, refuted, text)
	}
	for _, unknown := range []string{"missing", "systemd-journald.service"} {
		if status, text := run(t, m, "", at(unknown, 8080, "-yes")...); status != untested || !strings.Contains(text, unknown) {
			t.Errorf("%s: exit status %d, want %d:\n%s", unknown, status, untested, text)
		}
	}
}

func mainPID(t *testing.T, m *machine.Machine) string {
	t.Helper()
	pid, err := m.Show(t.Context(), "good.service", "MainPID")
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// checkReport reads the report in the machine.
func checkReport(t *testing.T, m *machine.Machine) {
	t.Helper()
	text, err := m.Command(t.Context(), "cat", "/tmp/report.json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var r record.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Events) != 2 || !r.Events[0].Upgrades() || r.Events[0].Before == r.Events[0].After || len(r.Samples) == 0 || len(r.Requests) < 100 {
		t.Errorf("the report has %d events, %d samples, %d requests", len(r.Events), len(r.Samples), len(r.Requests))
	}
}

func TestWrongArgumentsAreAnErrorThatNamesThem(t *testing.T) {
	for want, args := range map[string][]string{
		"-unit is missing":       {},
		"-address is missing":    {"-unit", "x"},
		"-n 0:":                  {"-unit", "x", "-address", "http://y", "-n", "0"},
		"-rate +Inf:":            {"-unit", "x", "-address", "http://y", "-rate", "inf"},
		"-rate NaN:":             {"-unit", "x", "-address", "http://y", "-rate", "nan"},
		"-window -1s:":           {"-unit", "x", "-address", "http://y", "-window", "-1s"},
		`"more" is no option`:    {"-unit", "x", "-address", "http://y", "more"},
		"report /missing/r.json": {"-unit", "x", "-address", "http://y", "-report", "/missing/r.json"},
		"report /: it is a dir":  {"-unit", "x", "-address", "http://y", "-report", "/"},
	} {
		var out, errs bytes.Buffer
		if status := command(t.Context(), args, &out, &out, &errs); status != untested || !strings.Contains(errs.String(), want) || out.Len() > 0 {
			t.Errorf("%q: exit status %d, %s, want %d and %s", args, status, errs.String(), untested, want)
		}
	}
	t.Setenv("PATH", "/missing")
	var out, errs bytes.Buffer
	args := []string{"-unit", "x", "-address", "http://y", "-report", filepath.Join(t.TempDir(), "r.html")}
	if status := command(t.Context(), args, &out, &out, &errs); status != untested || !strings.Contains(errs.String(), "the go command draws it") {
		t.Errorf("a page without the go command: exit status %d, %s", status, errs.String())
	}
	if status := command(t.Context(), []string{"-h"}, &out, &out, &errs); status != proven {
		t.Errorf("-h: exit status %d, want %d", status, proven)
	}
}
