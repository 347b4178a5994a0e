package units_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// TestRulesFindRelatives has more units of the kind that each rule is about, and their
// harmless neighbours. A drop-in that begins with [Socket] is of the .socket unit.
func TestRulesFindRelatives(t *testing.T) {
	finds(t, []relative{
		{"ExecStart=\nExecStart=/usr/bin/setpriv --reuid nobody /usr/bin/myapp", "user-changed"},
		{"ExecStart=\nExecStart=/usr/bin/setpriv --no-new-privs /usr/bin/myapp", ""},
		{"ExecStart=\nExecStart=/bin/chpst -u web:web /usr/bin/myapp", "user-changed"},
		{"ExecStart=\nExecStart=/usr/sbin/gosu web /usr/bin/myapp", "user-changed"},
		{"ExecStart=\nExecStart=/bin/sh -c 'umask 027; exec setpriv --reuid=web /usr/bin/myapp'", "user-changed"},
		{"DynamicUser=no\nUser=web\nExecStart=\nExecStart=+/usr/bin/myapp", "user-changed"},
		{"DynamicUser=no\nUser=web\nExecStart=\nExecStart=+/usr/bin/myapp\nExecReload=\nExecReload=+/usr/bin/myapp reload", ""},
		{"DynamicUser=no\nUser=web\nExecReload=\nExecReload=+/usr/bin/myapp reload", ""},
		{"DynamicUser=no\nUser=root\nExecReload=\nExecReload=/usr/bin/setpriv --reuid=web /usr/bin/myapp reload", "user-changed"},
		{"RuntimeDirectory=\nRuntimeDirectory=%N", ""},

		{"Environment=LISTEN_FDS=1", "environment"},
		{"Environment=\"A=b\" \"NOTIFY_SOCKET=/run/x\"", "environment"},
		{"UnsetEnvironment=LISTEN_FDS=1", ""},
		{"UnsetEnvironment=HOME MAINPID", "environment"},
		{"Environment=MY_NOTIFY_SOCKET=/run/x", ""},

		{"SuccessExitStatus=SIGABRT", "success-exit-status"},
		{"SuccessExitStatus=1", "success-exit-status"},
		{"SuccessExitStatus=0 143 SIGTERM TEMPFAIL", ""},
		{"SuccessExitStatus=1\nRestart=always", ""},
		{"SuccessExitStatus=1\nSuccessExitStatus=", ""},
		{"RestartPreventExitStatus=2\nRestart=always", "restart-prevented"},

		{"ExecReload=\nExecReload=/bin/sh -c '/usr/bin/myapp reload || true'", "exec-reload-ignored"},
		{"ExecReload=\nExecReload=/bin/sh -c '/usr/bin/myapp reload || :'", "exec-reload-ignored"},
		{"ExecReload=\nExecReload=/bin/sh -c \"/usr/bin/myapp reload; true\"", "exec-reload-ignored"},
		{"ExecReload=\nExecReload=/bin/sh -c '/usr/bin/myapp reload; exit 0'", "exec-reload-ignored"},
		{"ExecReload=\nExecReload=/bin/bash -c '/usr/bin/myapp reload 2>&1 | tee /var/log/reload'", "exec-reload-ignored"},
		{"ExecReload=\nExecReload=/bin/sh -ec '/usr/bin/myapp reload; echo done'", ""},
		{"ExecReload=\nExecReload=/bin/sh -c 'set -e; /usr/bin/myapp reload; echo done'", ""},
		{"ExecReload=\nExecReload=/bin/sh -c '/usr/bin/myapp reload && echo done'", ""},
		{"ExecReload=\nExecReload=/bin/sh -c '/usr/bin/myapp reload || exit 1'", ""},
		{"ExecReload=\nExecReload=/bin/sh -c 'test -r /etc/myapp; exec /usr/bin/myapp reload'", ""},
		{"ExecReload=\nExecReload=/bin/sh -c 'if true; then /usr/bin/myapp reload; fi'", ""},
		{"ExecReload=\nExecReload=/usr/bin/myapp check\nExecReload=/usr/bin/myapp reload", ""},

		{"ExecReload=\nExecReload=/bin/echo reload", "exec-reload-other"},
		{"ExecReload=\nExecReload=:/usr/bin/true", "exec-reload-other"},
		{"ExecReload=\nExecReload=/bin/sh -c 'date > /run/myapp/reload'", "exec-reload-other"},
		{"ExecReload=/bin/touch /run/myapp/reloaded", ""},
		{"ExecReload=\nExecReload=/usr/bin/myapp", "exec-reload-other"},

		{"ExecReload=\nExecReload=systemctl try-restart myapp", "exec-reload-ends"},
		{"ExecReload=\nExecReload=/bin/systemctl reload-or-restart %n", "exec-reload-ends"},
		{"ExecReload=\nExecReload=/usr/sbin/service myapp restart", "exec-reload-ends"},
		{"ExecReload=\nExecReload=/bin/kill $MAINPID", "exec-reload-async exec-reload-ends"},
		{"ExecReload=\nExecReload=/bin/kill -s QUIT $MAINPID", "exec-reload-async exec-reload-ends"},
		{"ExecReload=\nExecReload=/usr/bin/pkill -9 myapp", "exec-reload-async exec-reload-ends"},
		{"ExecReload=\nExecReload=/bin/kill -HUP $MAINPID", "exec-reload-async"},
		{"ExecReload=/bin/systemctl restart other.service", ""},

		{"ExecReload=\nExecReload=+/usr/bin/cutover-reload", ""},
		{"ExecReload=\nExecReload=+/opt/bin/cutover-reload\nNoExecPaths=/\nExecPaths=/usr/bin /usr/lib", ""},
		{"ReadWritePaths=-/opt/app\nExecReload=\nExecReload=+/opt/app/ctl reload", "exec-reload-root"},
		{"ReadWritePaths=-/opt/app\nExecReload=\nExecReload=/opt/app/ctl reload", ""},
		{"ExecReload=\nExecReload=+/home/deploy/ctl reload", "exec-reload-root"},
		{"StateDirectory=myapp\nEnvironmentFile=-/var/lib/myapp/env\nExecReload=\nExecReload=+/usr/bin/cutover-reload", "exec-reload-root"},
		{"StateDirectory=myapp\nEnvironmentFile=-/var/lib/myapp/env", ""},
		{"ExecReload=\nExecReload=!/usr/bin/myapp reload", "exec-reload-elevated"},
		{"ExecReload=\nExecReload=!!/usr/bin/myapp reload", ""},

		{"RestartSec=1min", "restart-pause"},
		{"RestartSec=5", ""},
		{"RestartSec=infinity", "restart-pause"},

		{"DynamicUser=no\nUser=web\nLimitNPROC=10:20", "process-limit"},
		{"DynamicUser=no\nUser=web\nLimitNPROC=infinity", ""},
		{"DynamicUser=no\nUser=root\nLimitNPROC=10", ""},
		{"MemoryHigh=20000K", "memory-max"},
		{"MemoryMax=10%", ""},
		{"MemoryMax=infinity", ""},
		{"MemoryMax=1G", ""},
		{"LimitFSIZE=1M", "file-size-limit"},
		{"LimitFSIZE=infinity", ""},

		{"StandardError=socket", "socket-stdin"},
		{"StandardOutput=socket\nStandardOutput=journal", ""},
		{"NoExecPaths=/\nExecPaths=/usr/bin\nExecReload=\nExecReload=/opt/myapp/ctl reload", "exec-paths"},
		{"ExecReload=\nExecReload=/home/deploy/ctl reload", "binary-hidden"},

		{"ExecStop=/bin/sh -c 'kill -9 $MAINPID'", "exec-stop"},
		{"ExecStop=/bin/kill -s SIGQUIT $MAINPID", "exec-stop"},
		{"ExecStop=/usr/bin/killall --signal=KILL myapp", "exec-stop"},
		{"ExecStop=/bin/kill -TERM $MAINPID", ""},
		{"ExecStop=/bin/kill $MAINPID", ""},
		{"ExecStop=/bin/sleep 5", ""},

		{"[Socket]\n[Unit]\nPartOf=myapp.service", "socket-stops"},
		{"[Socket]\n[Unit]\nRequisite=myapp.service", "socket-stops"},
		{"[Socket]\n[Unit]\nRequires=myapp.service", "socket-stops"},
		{"[Socket]\n[Unit]\nPartOf=other.target", ""},
		{"[Socket]\n[Unit]\nStopWhenUnneeded=yes", "stop-when-unneeded"},
		{"[Unit]\nStopWhenUnneeded=no", ""},
		{"[Unit]\nBindsTo=myapp.socket", "stopped-by-others"},
		{"[Unit]\nConflicts=apache2.service", "stopped-by-others"},
		{"[Unit]\nConflicts=shutdown.target", ""},
		{"[Unit]\nBindsTo=srv-data.mount", ""},
		{"[Unit]\nJobRunningTimeoutSec=10s", "job-timeout"},
		{"[Unit]\nJobTimeoutSec=infinity", ""},
		{"[Unit]\nJobTimeoutSec=10min", ""},
		{"RuntimeMaxSec=infinity", ""},
		{"LimitCPU=3600", "runtime-max"},
		{"StartLimitAction=reboot", "failure-action"},
		{"[Unit]\nOnFailure=mail@%n.service\nOnFailureJobMode=isolate", "failure-action"},
		{"[Unit]\nOnFailure=mail@%n.service\nOnFailureJobMode=replace", ""},
		{"[Unit]\nSuccessAction=poweroff", "failure-action"},
		{"[Socket]\n[Socket]\nKillMode=control-group\nLimitNOFILE=1024", ""},
		{"FinalKillSignal=SIGTERM", "final-kill-signal"},
		{"FinalKillSignal=9", ""},
		{"WatchdogSignal=HUP", "watchdog-signal"},
		{"WatchdogSignal=SIGKILL", ""},
		{"Delegate=yes\nSlice=web.slice", ""},
		{"SendSIGHUP=yes", ""},

		{"ExecReload=\nExecReload=/usr/bin/busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager RestartUnit ss %n replace", "exec-reload-ends"},
		{"ExecReload=/usr/bin/busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager RestartUnit ss db.service replace", ""},
		{"[Install]\nAlias=web.service\n[Service]\nExecReload=\nExecReload=/bin/systemctl restart web", "exec-reload-ends"},
		{"ExecStartPre=-/bin/rm -f /run/myapp.sock", ""},
		{"ExecStopPost=/bin/sh -c 'rm -f ${RUNTIME_DIRECTORY}/*.sock; true'\nExecStart=\nExecStart=/usr/bin/myapp -l unix:${RUNTIME_DIRECTORY}/a.sock", "socket-path-deleted bound-path-removed"},
		{"ExecStartPre=/bin/rm -rf /srv/myapp\nExecStart=\nExecStart=/usr/bin/myapp -l unix:/srv/myapp/a.sock", "socket-path-deleted"},
		{"ExecStartPre=/bin/rm -rf /srv/other\nExecStart=\nExecStart=/usr/bin/myapp -l unix:/srv/myapp/a.sock", ""},
		{"RootDirectory=/srv/jail\nExecStart=\nExecStart=/usr/bin/myapp -l unix:/srv/a.sock", "bound-path-hidden"},
		{"RootDirectory=/srv/jail\nBindPaths=/srv/run\nExecStart=\nExecStart=/usr/bin/myapp -l unix:/srv/run/a.sock", ""},
		{"RootDirectory=/srv/current", "release-mounted"},
		{"BindPaths=/srv/current:/srv/data", ""},
		{"ExecStart=\nExecStart=/bin/sh -c 'echo $$$$ > /sys/fs/cgroup/web/cgroup.procs; exec /usr/bin/myapp'", "outside-cgroup"},
		{"ExecStart=\nExecStart=/bin/sh -c 'echo $$$$ > /sys/fs/cgroup/system.slice/%n/a/cgroup.procs; exec /usr/bin/myapp'", ""},
		{"ExecStartPost=+/usr/bin/cgclassify -g cpu:web $MAINPID", "outside-cgroup"},
		{"[Socket]\n[Unit]\nPartOf=%p.service", "socket-stops"},
		{"[Socket]\n[Unit]\nPartOf=other@%p.service", ""},
		{"[Socket]\n[Socket]\nListenStream=[::]:8080", "socket-address-twice"},
		{"[Socket]\n[Socket]\nListenStream=0.0.0.0:8080", "socket-address-twice"},
		{"[Socket]\n[Socket]\nListenStream=0.0.0.0:8080\nBindIPv6Only=ipv6-only", ""},
		{"[Socket]\n[Socket]\nListenDatagram=8080\nListenStream=127.0.0.1:8081", ""},
		{"[Socket]\n[Socket]\nListenStream=%t/a.sock\nListenStream=/run/a.sock", "socket-address-twice"},
	})
}

// A relative is a unit with a drop-in, and the rules that find it.
type relative struct {
	dropIn string
	want   string // rules, "" for none
}

// finds checks a good unit for systemd 252 with each drop-in.
func finds(t *testing.T, relatives []relative) {
	t.Helper()
	for _, c := range relatives {
		d := myapp()
		d.Systemd = 252
		name, text := "myapp.service.d/a.conf", c.dropIn
		if socket, ok := strings.CutPrefix(text, "[Socket]\n"); ok {
			name, text = "myapp.socket.d/a.conf", socket
		}
		if !strings.HasPrefix(text, "[") {
			text = "[Service]\n" + text
		}
		got := ids(check(append(mustUnits(t, d), units.File{Name: name, Text: text + "\n"})))
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%q: %v, want %s", c.dropIn, got, c.want)
		}
	}
}

func TestRuntimeDirectoryIsComparedBetweenUnits(t *testing.T) {
	unit := func(name, directory string) units.File {
		return units.File{Name: name, Text: "[Service]\nType=notify\nExecStart=/usr/bin/x\nRuntimeDirectory=" + directory + "\n"}
	}
	for _, c := range []struct {
		name  string
		files []units.File
		want  int // findings of runtime-directory-shared
	}{
		{"one for all instances", []units.File{unit("app@.service", "app")}, 1},
		{"one for each instance", []units.File{unit("app@.service", "app/%i")}, 0},
		{"an instance", []units.File{unit("app@1.service", "app")}, 1},
		{"a list", []units.File{unit("app@.service", "app-%i app")}, 1},
		{"the prefix of a template", []units.File{unit("app@.service", "%p")}, 1},
		{"the name of an instance", []units.File{unit("app@.service", "%N")}, 0},
		{"of two templates", []units.File{unit("a@.service", "%i"), unit("b@.service", "%I")}, 2},
		{"above that of a template", []units.File{unit("a@.service", "app/%i"), unit("b.service", "app")}, 2},
		{"in quotes", []units.File{unit("a.service", `"my-app"`), unit("b.service", "my-app")}, 2},
		{"of two units", []units.File{unit("a.service", "app"), unit("b.service", "app")}, 2},
		{"by its name", []units.File{unit("a.service", "%N"), unit("b.service", "a")}, 2},
		{"below another", []units.File{unit("a.service", "app"), unit("b.service", "app/b")}, 2},
		{"beside another", []units.File{unit("a.service", "app/a"), unit("b.service", "app/b")}, 0},
		{"of the same beginning", []units.File{unit("a.service", "app"), unit("b.service", "app2")}, 0},
		{"an unknown specifier", []units.File{unit("a.service", "%u"), unit("b.service", "%u")}, 0},
	} {
		n := 0
		for _, f := range mustCheckAll(c.files) {
			if f.Rule == "runtime-directory-shared" {
				n++
			}
		}
		if n != c.want {
			t.Errorf("%s: %d findings, want %d", c.name, n, c.want)
		}
	}
}
