package parent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAutoIsInPlaceWhereTheParentWaits for this very process.
func TestAutoIsInPlaceWhereTheParentWaits(t *testing.T) {
	const us = 100
	tests := []struct {
		name    string
		all     []process // us first
		managed bool
		want    bool
	}{
		{"PID 1", []process{{pid: 1}}, false, true},
		{"a parent in another PID namespace", []process{{pid: us}}, false, true},
		{"tini as PID 1", []process{{us, 1, us, "", ""}, {1, 0, 1, "tini", "tini"}}, false, true},
		{"any PID 1, with a notification socket", []process{{us, 1, us, "", ""}, {1, 0, 1, "conmon-init", "x"}}, true, true},
		{"systemd as PID 1", []process{{us, 1, us, "", ""}, {1, 0, 1, "systemd", "systemd"}}, true, false},
		{"systemd that cannot be seen", []process{{us, 1, us, "", ""}, {pid: 1}}, true, false},
		{"a PID 1 that cannot be seen", []process{{us, 1, us, "", ""}, {pid: 1}}, false, true},
		{"systemd of a user", []process{{us, 50, us, "", ""}, {50, 1, 50, "systemd", "systemd"}}, true, false},
		{"runit", []process{{us, 50, 50, "", ""}, {50, 1, 50, "runsv", "runsv"}}, false, true},
		{"s6", []process{{us, 50, us, "", ""}, {50, 1, 50, "s6-supervise", "s6-supervise"}}, false, true},
		{"supervisord", []process{{us, 50, us, "", ""}, {50, 1, 50, "supervisord", "python3.11"}}, false, true},
		{"a script under runit", []process{{us, 60, 50, "", ""}, {60, 50, 50, "run", "dash"}, {50, 1, 40, "runsv", "runsv"}}, false, true},
		{"a script under tini", []process{{us, 60, 7, "", ""}, {60, 1, 7, "docker-entrypoi", "bash"}, {1, 0, 1, "tini", "tini"}}, false, true},
		{"sh as PID 1", []process{{us, 1, 1, "", ""}, {1, 0, 1, "sh", "dash"}}, false, true},
		{"a shell with job control as PID 1", []process{{us, 1, us, "", ""}, {1, 0, 1, "bash", "bash"}}, false, false},
		{"a shell in a terminal", []process{{us, 60, us, "", ""}, {60, 50, 60, "bash", "bash"}, {50, 1, 50, "sshd", "sshd"}}, false, false},
		{"a script in a terminal", []process{{us, 70, 70, "", ""}, {70, 60, 70, "run.sh", "bash"}, {60, 50, 60, "bash", "bash"}}, false, false},
		{"a script under systemd", []process{{us, 60, 60, "", ""}, {60, 1, 60, "start.sh", "bash"}, {1, 0, 1, "systemd", "systemd"}}, false, false},
		{"sudo under tini", []process{{us, 60, us, "", ""}, {60, 1, 7, "sudo", "sudo"}, {1, 0, 1, "tini", "tini"}}, false, true},
		{"flock in a script under runit", []process{{us, 70, 50, "", ""}, {70, 60, 50, "flock", "flock"}, {60, 50, 50, "run", "dash"}, {50, 1, 40, "runsv", "runsv"}}, false, true},
		{"timeout as PID 1", []process{{us, 1, 1, "", ""}, {1, 0, 1, "timeout", "timeout"}}, false, true},
		{"sudo in a terminal", []process{{us, 70, us, "", ""}, {70, 60, 70, "sudo", "sudo"}, {60, 50, 60, "bash", "bash"}}, false, false},
		{"sudo under systemd", []process{{us, 60, us, "", ""}, {60, 1, 60, "sudo", "sudo"}, {1, 0, 1, "systemd", "systemd"}}, false, false},
		{"a test", []process{{us, 60, 60, "", ""}, {60, 50, 60, "e2e.test", "e2e.test"}}, false, false},
	}
	for _, tt := range tests {
		read := func(pid int) process {
			for _, p := range tt.all {
				if p.pid == pid {
					return p
				}
			}
			return process{pid: pid}
		}
		if got := waitsForOne(tt.all[0], tt.managed, read); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNamesOfProcessesMayContainAnything(t *testing.T) {
	for text, want := range map[string]process{
		"7 (tini) S 1 7 7 0 -1":            {parent: 1, group: 7, name: "tini"},
		"7 (a b) (c) R 9 S) S 50 60 7 0\n": {parent: 50, group: 60, name: "a b) (c) R 9 S"},
		"7 (x) S 1":                        {name: "x"},
		"7 )x( S 1 2 3":                    {},
		"":                                 {},
	} {
		var p process
		if p.readStat(text); p != want {
			t.Errorf("readStat(%q): %+v, want %+v", text, p, want)
		}
	}
}

// TestCgroupsThatBelongToNoService, as /proc/PID/cgroup has them.
func TestCgroupsThatBelongToNoService(t *testing.T) {
	tests := []struct{ text, want string }{
		{"0::/system.slice/app.service\n", ""},
		{"0::/system.slice/app.service/workers.scope\n", ""}, // Delegate=yes
		{"0::/\n", ""}, // a cgroup namespace: nothing is known
		{"", ""},
		{"0::/user.slice/user-65534.slice/session-c1.scope\n", "/user.slice/user-65534.slice/session-c1.scope"},
		{"12:pids:/user.slice\n1:name=systemd:/user.slice/session-c1.scope\n0::/user.slice/session-c1.scope\n", "/user.slice/session-c1.scope"},
		{"4:memory:/user.slice/session-c1.scope\n1:name=systemd:/system.slice/app.service\n0::/\n", ""},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope\n", ""}, // of a user manager
	}
	for _, tt := range tests {
		if got := scopeOf(tt.text); got != tt.want {
			t.Errorf("scopeOf(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestSystemdFollowsAPIDFileWithoutANotificationSocket if the file names the process.
func TestSystemdFollowsAPIDFileWithoutANotificationSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	started := map[string]string{"INVOCATION_ID": "1", "SYSTEMD_EXEC_PID": fmt.Sprint(os.Getpid())}
	lookup := func(name string) (string, bool) { v, ok := started[name]; return v, ok }
	check := func(want string) {
		t.Helper()
		err := Check(1, false, lookup)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Check returns %v, want %q", err, want)
		}
	}
	check("set Type=notify in the unit")
	started["PIDFILE"] = path
	check("no such file")
	for text, want := range map[string]string{"1\n": `names process "1"`, fmt.Sprintln(os.Getpid()): ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		check(want)
		delete(started, "SYSTEMD_EXEC_PID") // systemd 247
		check(want)
		started["SYSTEMD_EXEC_PID"] = fmt.Sprint(os.Getpid())
	}
}
