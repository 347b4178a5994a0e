package units_test

import "testing"

// reloadsBy is a drop-in with other commands in ExecReload=.
func reloadsBy(lines string) string { return "ExecReload=\nExecReload=" + lines }

func TestReloadCommandsAreFollowed(t *testing.T) {
	finds(t, []relative{
		{reloadsBy("/usr/bin/env GODEBUG=x /usr/bin/myapp reload"), ""},
		{reloadsBy("/usr/bin/timeout 20 /usr/bin/myapp reload"), ""},
		{reloadsBy("/usr/bin/env true"), "exec-reload-other"},
		{reloadsBy("/usr/bin/env kill -HUP $MAINPID"), "exec-reload-async"},
		{reloadsBy("/usr/bin/sudo /bin/kill -HUP $MAINPID"), "exec-reload-async"},
		{reloadsBy("/usr/bin/systemctl kill --signal=SIGHUP %n"), "exec-reload-async"},
		{reloadsBy("/bin/sh -c 'kill -0 $MAINPID && exec /usr/bin/myapp reload'"), ""},
		{reloadsBy("/bin/sh -c 'echo kill the old one; exec /usr/bin/myapp reload'"), ""},
		{reloadsBy("/bin/sh -c 'kill -HUP $MAINPID; until curl -fs localhost; do sleep 1; done'"), "exec-reload-async"},
		{reloadsBy("/bin/sh -c 'nohup systemctl --no-block restart %n &'"), "exec-reload-async exec-reload-ignored exec-reload-ends"},
		{reloadsBy("/usr/bin/systemd-run --on-active=1 systemctl restart myapp.service"), "exec-reload-ends"},
		{reloadsBy("/bin/sh -c '/usr/bin/myapp reload; code=$$?; logger $$code; exit $$code'"), ""},
		{reloadsBy("/bin/sh -c '/usr/bin/myapp reload; logger done'"), "exec-reload-ignored"},
		{reloadsBy("-/usr/bin/myapp check\nExecReload=/usr/bin/myapp reload"), ""},
		{reloadsBy("/usr/bin/myapp reload\nExecReload=-/usr/bin/logger done"), ""},

		// A ; that stands alone begins another command, with prefixes again.
		{reloadsBy("/usr/bin/myapp check ; /usr/bin/myapp reload"), ""},
		{reloadsBy("/usr/bin/myapp check ; /bin/kill -HUP $MAINPID"), "exec-reload-async"},
		{reloadsBy("/usr/bin/logger begin ; -/usr/bin/myapp reload"), "exec-reload-ignored"},
		{reloadsBy("/bin/kill -HUP $MAINPID; /usr/bin/myapp wait"), "exec-reload-async shell-syntax"},
		{"ExecStop=/bin/kill -TERM $MAINPID ; /bin/sleep 2 ; /bin/kill -KILL $MAINPID", "exec-stop"},

		{"ExecStop=/bin/kill -HUP $MAINPID", "exec-stop"},
		{"ExecStop=/usr/bin/env kill -9 $MAINPID", "exec-stop"},
		{"ExecStop=/bin/kill -INT $MAINPID", ""},
		{"ExecStop=/bin/sh -c 'kill -TERM $MAINPID; while kill -0 $MAINPID; do sleep 1; done'", ""},
	})
}

func TestCommandLinesAreReadAsSystemdDoes(t *testing.T) {
	finds(t, []relative{
		{"ExecStart=/usr/bin/myapp -v", "exec-start-count"},
		{"ExecStart=", "exec-start-count"},
		{"ExecStart=\nExecStart=/usr/bin/myapp ; /usr/bin/myapp -v", "exec-start-count"},
		{"ExecStart=\nExecStart=/usr/bin/myapp -v \\; -w", ""},
		{"ExecStart=\nExecStart=./myapp", "exec-program"},
		{"ExecStart=\nExecStart=~/myapp", "exec-program"},
		{"ExecStart=\nExecStart=/usr/bin/", "exec-program"},
		{"ExecStart=\nExecStart=${BIN} -v", "exec-program"},
		{"ExecStart=\nExecStart=@", "exec-program"},
		{"ExecStart=\nExecStart=/usr/bin/myapp -name \"a", "exec-program"},
		{"ExecStart=\nExecStart=%h/myapp", ""},
		{"ExecStart=\nExecStart=myapp", ""},
		{reloadsBy("bin/myapp reload"), "exec-program"},
		{"ExecStart=\nExecStart=/usr/bin/myapp -p ${PORT:-8080}", "shell-syntax"},
		{"ExecStart=\nExecStart=/usr/bin/myapp -h $(hostname)", "shell-syntax"},
		{"ExecStart=\nExecStart=/usr/bin/myapp 2>/dev/null", "shell-syntax"},
		{"ExecStart=\nExecStart=/usr/bin/myapp # the server", "shell-syntax"},
		{"ExecStart=\nExecStart=/usr/bin/myapp &", "shell-syntax"},
		{reloadsBy("/usr/bin/myapp reload || true"), "shell-syntax"},
		{"ExecStart=\nExecStart=/usr/bin/myapp --filter '|' --expr \"a && b\" --url http://x/?a=1&b=2 x|y a>b $5", ""},
		{"ExecStart=\nExecStart=/bin/sh -c 'exec /usr/bin/myapp -p ${PORT:-8080} -h $(hostname) 2>/dev/null'", ""},
		{"ExecStart=\nExecStart=/bin/sh -c ' \\\n  umask 027; \\\n# a comment\n  exec /usr/bin/myapp \\\n    -v'", ""},
		{"Environment=A=1 \\\n  B=2 \\\n# a comment\n  NOTIFY_SOCKET=x", "environment"},
	})
}

func TestCommandsThatTakeVariablesAreFound(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/env -i PATH=/bin /usr/bin/myapp":                         "environment",
		"/usr/bin/env - /usr/bin/myapp":                                    "environment",
		"/usr/bin/env -u LISTEN_FDS /usr/bin/myapp":                        "environment",
		"/usr/bin/nice env --unset=NOTIFY_SOCKET /usr/bin/myapp":           "environment",
		"/usr/bin/env NOTIFY_SOCKET= /usr/bin/myapp":                       "environment",
		"/usr/bin/env NOTIFY_SOCKET=${NOTIFY_SOCKET} /usr/bin/myapp":       "",
		"/usr/bin/env -u LS_COLORS --unset=LANG A=b /usr/bin/myapp":        "",
		"/usr/bin/setpriv --reset-env /usr/bin/myapp":                      "environment",
		"/bin/sh -c 'unset LISTEN_PID; exec /usr/bin/myapp'":               "environment",
		"/bin/sh -c 'if true; then unset FOO; fi; exec /usr/bin/myapp -v'": "",
	} {
		finds(t, []relative{{"ExecStart=\nExecStart=" + line, want}})
	}
	finds(t, []relative{
		{reloadsBy("/usr/bin/env -i /usr/bin/myapp reload"), "environment"},
		{reloadsBy("/usr/bin/env -u NOTIFY_SOCKET /usr/bin/myapp reload"), ""},
	})
}
