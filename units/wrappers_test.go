package units_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// TestProgramsBetweenSystemdAndTheDaemonAreFollowed has a tree with scripts, in which
// /bin/sh is dash.
func TestProgramsBetweenSystemdAndTheDaemonAreFollowed(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dash", filepath.Join(root, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"bin/dash":     "\x7fELF\x00",
		"execs":        "#!/bin/sh\nulimit -c 0\nexec /usr/bin/myapp \"$@\"\n",
		"branches":     "#!/usr/bin/env bash\n# don't stop\nif [ -e /x ]; then\n\texec /usr/bin/myapp -x\nelse\n\texec /usr/bin/myapp\nfi\n",
		"arguments":    "#!/bin/sh -e\n. /etc/default/myapp\nexec \"$@\"\n",
		"continued":    "#!/bin/sh\nexec \\\n  /usr/bin/myapp\n",
		"waits":        "#!/bin/bash\n/usr/bin/myapp\n",
		"redirects":    "#!/bin/sh\nexec >/var/log/a 2>&1\n/usr/bin/myapp\n",
		"redirects2":   "#!/bin/sh\nexec 2> /var/log/a </dev/null\n/usr/bin/myapp\n",
		"pipe":         "#!/bin/sh\nexec /usr/bin/myapp | logger\n",
		"background":   "#!/bin/sh\nexec /usr/bin/myapp &\nwait\n",
		"commented":    "#!/bin/sh\n# exec /usr/bin/myapp\n/usr/bin/myapp\n",
		"tini-in-it":   "#!/bin/sh\nexec tini -- /usr/bin/myapp\n",
		"function":     "#!/bin/bash\nmain() {\n  exec /usr/bin/myapp \"$@\"\n}\nmain \"$@\"\n",
		"case":         "#!/bin/sh\ncase \"$1\" in\n  -h) echo help ;;\n  *) exec /usr/bin/myapp ;;\nesac\n",
		"case-line":    "#!/bin/sh\ncase \"$1\" in start) exec /usr/bin/myapp;; esac\n",
		"here":         "#!/bin/sh\ncat <<'END' >/run/c\nexec /usr/bin/myapp\nEND\n/usr/bin/myapp\n",
		"eval":         "#!/bin/dash\neval \"exec /usr/bin/myapp $OPTIONS\"\n",
		"debug":        "#!/bin/sh\nif [ -n \"$DEBUG\" ]; then exec strace /usr/bin/myapp; fi\nexec /usr/bin/myapp\n",
		"unsets":       "#!/bin/sh\nunset NOTIFY_SOCKET\nexec /usr/bin/myapp\n",
		"variable":     "#!/bin/sh\nexec ${WRAPPER} /usr/bin/myapp\n",
		"restarts":     "#!/bin/sh\nwhile true; do\n  /usr/bin/myapp\n  sleep 1\ndone\n",
		"no-shell":     "#!/usr/bin/python3\nimport os\n",
		"recursive":    "#!/bin/sh\nexec /recursive\n",
		"logs":         "#!/bin/sh\nexec /usr/bin/myapp >/var/log/a 2>&1\n",
		"usr/bin/none": "\x7fELF\x00",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"/usr/bin/myapp":                                                            "",
		"/usr/bin/env A=b -u X /usr/bin/myapp":                                      "",
		"/usr/bin/env -S 'nice -n 5 /usr/bin/myapp'":                                "",
		"/usr/bin/env -i sudo -u www /usr/bin/myapp":                                "exec-start-waits environment",
		"/usr/bin/nice -n 5 /usr/bin/ionice -c2 /usr/bin/myapp":                     "",
		"/usr/bin/setpriv --bounding-set -all --no-new-privs -- /usr/bin/myapp":     "",
		"/usr/bin/setpriv --no-new-privs /sbin/runuser -u www /usr/bin/myapp":       "exec-start-waits",
		"/usr/sbin/chroot --userspec=www /srv /usr/bin/myapp":                       "user-changed",
		"/usr/sbin/chroot /srv /usr/bin/myapp":                                      "",
		"/usr/bin/env A=b /usr/bin/nice -n 5 /usr/sbin/gosu www /usr/bin/myapp":     "user-changed",
		"/usr/bin/authbind --deep /usr/bin/myapp":                                   "",
		"/usr/bin/bwrap --bind / / /usr/bin/myapp":                                  "exec-start-waits",
		"/usr/bin/doppler run -- /usr/bin/myapp":                                    "exec-start-waits",
		"/usr/bin/systemd-run --scope --slice=web /usr/bin/myapp":                   "outside-cgroup",
		"/sbin/start-stop-daemon --start --chuid www --exec /usr/bin/myapp":         "user-changed",
		"/usr/bin/stdbuf -oL /usr/bin/myapp":                                        "",
		"/usr/bin/taskset -c 0-3 /usr/bin/myapp":                                    "",
		"/usr/bin/unshare -n /usr/bin/myapp":                                        "",
		"/usr/bin/unshare -fp /usr/bin/myapp":                                       "exec-start-waits",
		"/usr/bin/unshare --fork --pid /usr/bin/myapp":                              "exec-start-waits",
		"/usr/bin/nsenter -t 1 -n /usr/bin/myapp":                                   "",
		"/usr/bin/nsenter --target 1 --pid /usr/bin/myapp":                          "exec-start-waits",
		"/sbin/ip netns exec blue /usr/bin/myapp":                                   "",
		"/usr/bin/flock /run/lock/a /usr/bin/myapp":                                 "exec-start-waits",
		"/usr/bin/flock --no-fork /run/lock/a /usr/bin/myapp":                       "",
		"/usr/bin/strace -f -o /tmp/a /usr/bin/myapp":                               "exec-start-waits",
		"/usr/bin/timeout 60 /usr/bin/myapp":                                        "exec-start-waits",
		"/bin/su www -s /bin/sh -c /usr/bin/myapp":                                  "exec-start-waits",
		"/usr/bin/tini -- /usr/bin/myapp":                                           "exec-start-waits",
		"/usr/bin/setsid /usr/bin/myapp":                                            "exec-start-waits",
		"/usr/bin/systemd-run --wait --pipe /usr/bin/myapp":                         "exec-start-waits",
		"/sbin/start-stop-daemon --start --exec /usr/bin/myapp -- -v":               "",
		"/sbin/start-stop-daemon --start --background --exec /usr/bin/myapp":        "exec-start-waits",
		"/bin/busybox nice /usr/bin/myapp":                                          "",
		"/bin/busybox timeout 5 /usr/bin/myapp":                                     "exec-start-waits",
		"/bin/busybox sh -c /usr/bin/myapp":                                         "exec-start-shell",
		"/opt/unknown --run /usr/bin/myapp":                                         "exec-start-launcher",
		"/bin/sh -c /usr/bin/myapp":                                                 "exec-start-shell",
		"/bin/sh -c 'exec /usr/bin/myapp'":                                          "",
		"/bin/sh -ec 'test -e /x && exec /usr/bin/myapp || exec /usr/bin/myapp -y'": "",
		"/bin/sh -c 'exec >>/var/log/a 2>&1; /usr/bin/myapp'":                       "log-file exec-start-shell",
		"/bin/sh -c 'exec /usr/bin/myapp >>/var/log/a 2>&1'":                        "log-file",
		"/bin/sh -c 'exec /usr/bin/myapp 2>/dev/null'":                              "",
		"/bin/sh -c 'exec /usr/bin/myapp 2>&1 | logger'":                            "exec-start-shell",
		"/bin/sh -c 'exec timeout 5 /usr/bin/myapp'":                                "exec-start-waits",
		"/bin/sh -c \"echo 'exec x'; /usr/bin/myapp\"":                              "exec-start-shell",
		"/bin/bash -c /usr/bin/myapp":                                               "",
		"/bin/bash -c 'ulimit -n 4096 && /usr/bin/myapp'":                           "",
		"/bin/bash -lc 'ulimit -n 4096; A=b /usr/bin/myapp'":                        "",
		"/bin/bash -c 'su www -c /usr/bin/myapp'":                                   "exec-start-waits",
		"/bin/bash -c '/usr/bin/myapp >/var/log/a'":                                 "exec-start-shell",
		"/bin/bash -c '/usr/bin/myapp | logger'":                                    "exec-start-shell",
		"/bin/bash -c '( /usr/bin/myapp )'":                                         "exec-start-shell",
		"/bin/bash -c '{ /usr/bin/myapp; }'":                                        "exec-start-shell",
		"/bin/bash -c 'trap true EXIT; /usr/bin/myapp'":                             "exec-start-shell",
		"/bin/bash -c 'if true; then /usr/bin/myapp; fi'":                           "exec-start-shell",
		"/bin/bash -c '/usr/bin/myapp; echo ended'":                                 "exec-start-shell",
		"/bin/bash -c '/usr/bin/myapp || true'":                                     "exec-start-shell",
		"/bin/bash -c 'f() { /usr/bin/myapp; }; f'":                                 "exec-start-shell",
		"/bin/bash -lc 'cd /srv && exec /usr/bin/myapp'":                            "",
		"/bin/bash --norc -euo pipefail -c 'exec /usr/bin/myapp'":                   "",
		"/bin/bash -O extglob -c 'exec /usr/bin/myapp'":                             "",
		"/bin/bash -c 'exec -a mysvc /usr/bin/myapp'":                               "exec-start-name",
		"/bin/bash -c 'exec -a /usr/bin/myapp /usr/bin/myapp'":                      "",
		"/bin/ksh -c '/usr/bin/myapp; true'":                                        "exec-start-shell",
		"/bin/sh -c 'command exec /usr/bin/myapp'":                                  "",
		"/bin/sh -c 'exec \"$0\" \"$@\"' /usr/bin/myapp -v":                         "",
		"/bin/sh -c 'exec \"$@\"' sh /usr/bin/timeout 5 /usr/bin/myapp":             "exec-start-waits",
		"/usr/bin/setarch x86_64 -R /usr/bin/myapp":                                 "",
		"/usr/bin/setarch -R /usr/bin/myapp":                                        "",
		"/usr/bin/linux64 -R /usr/bin/myapp":                                        "",
		"/usr/sbin/ip vrf exec blue /usr/bin/myapp":                                 "",
		"/usr/bin/catchsegv /usr/bin/myapp":                                         "exec-start-waits",
		"/usr/bin/cpulimit -l 50 -- /usr/bin/myapp":                                 "exec-start-waits",
		"/usr/sbin/capsh --drop=cap_net_raw -- -c 'exec /usr/bin/myapp'":            "",
		"/usr/sbin/capsh --user=web -- -c /usr/bin/myapp":                           "user-changed",
		"/usr/bin/op run --env-file=/etc/myapp.env -- /usr/bin/myapp":               "exec-start-waits",
		"!!/usr/bin/myapp":                                                          "",
		"|/usr/bin/myapp":                                                           "exec-start-shell",
		"|@/usr/bin/myapp mysvc":                                                    "exec-start-shell",
		"/bin/dash -c /usr/bin/myapp":                                               "exec-start-shell",
		"/execs":                                                                    "",
		"/bin/sh /execs -v":                                                         "",
		"/branches":                                                                 "",
		"/arguments /usr/bin/myapp":                                                 "",
		"/arguments /usr/bin/tini /usr/bin/myapp":                                   "exec-start-waits",
		"/continued":                        "",
		"/waits":                            "exec-start-script",
		"/bin/bash /waits":                  "exec-start-script",
		"/usr/bin/env bash /waits":          "exec-start-script",
		"/redirects":                        "log-file exec-start-script",
		"/redirects2":                       "log-file exec-start-script",
		"/pipe":                             "exec-start-script",
		"/background":                       "exec-start-script",
		"/commented":                        "exec-start-script",
		"/tini-in-it":                       "exec-start-waits",
		"/function":                         "",
		"/case":                             "",
		"/case-line":                        "",
		"/here":                             "exec-start-script",
		"/eval":                             "",
		"/debug":                            "",
		"/unsets":                           "environment",
		"/variable":                         "",
		"/restarts":                         "exec-start-script",
		"/logs":                             "log-file",
		"/no-shell":                         "",
		"/recursive":                        "",
		"/bin/sh /elsewhere/start.sh":       "exec-start-script",
		"/elsewhere/start.sh":               "exec-start-script",
		"@/usr/bin/myapp mysvc":             "exec-start-name",
		"@/usr/bin/myapp /usr/bin/myapp -v": "",
	} {
		files := append(mustUnits(t, myapp()), inService("ExecStart=\nExecStart="+line))
		findings, _ := units.Check(files, units.Options{Root: root})
		got := slices.DeleteFunc(ids(findings), func(id string) bool { return id == "exec-reload-other" })
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %v, want %q", line, findings, want)
		}
	}
}

// TestProgramWithTheNameOfAnotherIsKnown has a daemon whose name is that of a program that
// waits for its child.
func TestProgramWithTheNameOfAnotherIsKnown(t *testing.T) {
	for lines, want := range map[string]string{
		"ExecStart=/usr/bin/reflex -addr :80\nExecReload=/usr/bin/reflex reload":            "",
		"ExecStart=/opt/acme/daemon\nExecReload=/opt/acme/daemon reload":                    "",
		"ExecStart=/usr/bin/sudo -n /usr/bin/myapp\nExecReload=/usr/bin/sudo reload-myapp":  "exec-start-waits",
		"ExecStart=/usr/bin/docker run myapp\nExecReload=/usr/bin/docker exec myapp reload": "exec-start-waits",
	} {
		findings := check(append(mustUnits(t, myapp()), inService("ExecStart=\nExecReload=\n"+lines)))
		if got := ids(findings); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %v, want %q", lines, findings, want)
		}
	}
}

func TestUnknownNamesAreNamedWithTheNearest(t *testing.T) {
	for text, want := range map[string]string{
		"[Service]\nExecRestart=/bin/true":  "ExecRestart= is no setting that systemd knows; the nearest name is ExecStart=",
		"[Service]\nkillmode=mixed":         "killmode= is no setting that systemd knows; the nearest name is KillMode=",
		"[service]\nKillMode=mixed\nType=a": "[service] is no section that systemd knows; the nearest name is [Service]",
		"[Sockets]\nAccept=yes":             "[Sockets] is no section that systemd knows; the nearest name is [Socket]",
		"[Service]\nWorkingDir=/srv":        "WorkingDir= is no setting that systemd knows; the nearest name is WorkingDirectory=",
		"[Service]\nHorsePower=5":           "HorsePower= is no setting that systemd knows",
		"[X-Ours]\nAnything=1":              "",
		"[Service]\nX-Ours=1":               "",
	} {
		findings := check(append(mustUnits(t, myapp()), units.File{Name: "myapp.service.d/a.conf", Text: text + "\n"}))
		if want == "" && len(findings) > 0 || want != "" && (len(findings) != 1 || findings[0].Wrong != want || findings[0].Rule != "unknown-name") {
			t.Errorf("%q: %v, want %q", text, findings, want)
		}
	}
}
