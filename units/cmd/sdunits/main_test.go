package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

func sdunits(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestFromNewToCheckToExplain(t *testing.T) {
	dir := t.TempDir()
	status, _, stderr := sdunits("new", "-name", "myapp", "-binary", "/usr/bin/myapp", "-listen", "http=8080", "-listen", "http=[::1]:81",
		"-listen", "log:datagram=/run/log.sock", "-hardening", "strict", "-drain", "1h", "-stop-drain", "1m", "-watch", "-credential", "tls.key=/etc/myapp/tls.key", "-o", dir, "--", "-v", "serve")
	if status != 0 || stderr != "" {
		t.Fatalf("new: %d, %s", status, stderr)
	}
	if status, out, stderr := sdunits("check", dir); status != 0 || out != "" || stderr != "" {
		t.Fatalf("check of what new wrote: %d, %s%s", status, out, stderr)
	}
	service, err := os.ReadFile(filepath.Join(dir, "myapp.service"))
	if err != nil || !strings.Contains(string(service), "ExecStart=/usr/bin/myapp -v serve\n") || !strings.Contains(string(service), "TimeoutStopSec=75s\n") ||
		!strings.Contains(string(service), "LoadCredential=tls.key:/etc/myapp/tls.key\n") {
		t.Errorf("%v:\n%s", err, service)
	}
	if err := (units.File{Name: "a.conf", Text: "[Service]\nKillMode=mixed\n"}).Install(filepath.Join(dir, "myapp.service.d")); err != nil {
		t.Fatal(err)
	}
	status, out, _ := sdunits("check", filepath.Join(dir, "myapp.service"))
	if status != found || !strings.Contains(out, "myapp.service.d/a.conf:2: error: KillMode=mixed [kill-mode]\n\twill happen: ") {
		t.Errorf("check of a bad one: %d, %s", status, out)
	}
	if status, out, _ := sdunits("explain", "kill-mode"); status != 0 || !strings.Contains(out, "    KillMode=control-group\n") {
		t.Errorf("explain: %d, %s", status, out)
	}
	again := t.TempDir()
	if status, _, stderr := sdunits("new", "-from", dir, "-systemd", "254", "-o", again); status != 0 {
		t.Errorf("new -from: %s", stderr)
	}
	// From 252 on systemd's own Backlog= is right, and sockets do not pick that up by themselves.
	if status, out, _ := sdunits("check", "-against", dir, again); status != found || !strings.Contains(out, "Backlog= was 4096, is not set [socket-restart-needed]") {
		t.Errorf("check -against: %d, %s", status, out)
	}
}

func TestCheckWritesJSON(t *testing.T) {
	dir := t.TempDir()
	file := units.File{Name: "a.service", Text: "[Service]\nType=simple\n"}
	if err := file.Install(dir); err != nil {
		t.Fatal(err)
	}
	var findings []map[string]any
	status, out, _ := sdunits("check", "-json", "-all", dir)
	if err := json.Unmarshal([]byte(out), &findings); err != nil || status != found || len(findings) == 0 {
		t.Fatalf("%d, %v, %s", status, err, out)
	}
	for _, key := range []string{"rule", "severity", "unit", "file", "line", "wrong", "effect", "fix"} {
		if findings[0][key] == nil {
			t.Errorf("no %s in %v", key, findings[0])
		}
	}
	status, out, stderr := sdunits("check", "-json", dir)
	if status != 0 || strings.TrimSpace(out) != "[]" || !strings.Contains(stderr, "-all") {
		t.Errorf("a unit that is not ours: %d, %q, %q", status, out, stderr)
	}
}

func TestHelpAndMistakes(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, misusage, "sdunits <command>"},
		{[]string{"-h"}, 0, "Examples:"},
		{[]string{"new", "-h"}, 0, "-listen"},
		{[]string{"check", "-h"}, 0, "Exit status:"},
		{[]string{"explain", "-h"}, 0, "Usage:"},
		{[]string{"explain"}, 0, "kill-mode"},
		{[]string{"explain", "-all"}, 0, "Right:"},
		{[]string{"explain", "nothing"}, misusage, "no rule"},
		{[]string{"check"}, misusage, "no unit is named"},
		{[]string{"check", ".", "-json"}, misusage, "-json comes after .: options come first"},
		{[]string{"new", "-name", "a", "-binary", "/a", "-binds", "1", "serve", "-o=x"}, misusage, "-o=x comes after serve"},
		{[]string{"new", "-name", "a", "-binary", "/a", "-binds", "1", "--", "serve", "-o=x"}, 0, "ExecStart=/a serve -o=x"},
		{[]string{"check", "./nothing.service"}, misusage, "no such file"},
		{[]string{"check", os.Args[0]}, misusage, "no unit file"},
		{[]string{"check", "main_test.go"}, misusage, "no unit file"},
		{[]string{"check", "."}, misusage, "has no unit files"},
		{[]string{"check", "-user", "a"}, misusage, "goes with -installed"},
		{[]string{"check", "-installed", "-root", "/", "a"}, misusage, "no -root"},
		{[]string{"new", "-binds", "x"}, misusage, "sdunits new -h says more"},
		{[]string{"new"}, misusage, "no socket"},
		{[]string{"new", "-listen", "http"}, misusage, "NAME=ADDRESS"},
		{[]string{"new", "-credential", "key"}, misusage, "NAME=PATH"},
		{[]string{"new", "-hardening", "much"}, misusage, "standard"},
		{[]string{"write"}, misusage, "no command"},
	} {
		status, out, stderr := sdunits(c.args...)
		if status != c.status || !strings.Contains(out+stderr, c.want) {
			t.Errorf("%v: %d, no %q in %s%s", c.args, status, c.want, out, stderr)
		}
	}
}

func TestStatusOfAProgramThatHasNotCalledNew(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for want, c := range map[string]struct {
		script string
		status int
	}{
		"has not called New yet": {fmt.Sprintf("echo Id=a.service; echo ActiveState=activating; echo MainPID=%d", os.Getpid()), found},
		"no systemd here":        {"echo no systemd here >&2; exit 1", misusage},
	} {
		if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if status, out, stderr := sdunits("status", "a"); status != c.status || !strings.Contains(out+stderr, want) {
			t.Errorf("status: %d, %s%s, want %q", status, out, stderr, want)
		}
	}
}
