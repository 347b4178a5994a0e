package compare

import "fmt"

// wrapper starts a server of Debian after the time that a start takes. The server finds
// the wrapper under its own name when it executes itself.
func wrapper(name string) string {
	return fmt.Sprintf("#!/bin/bash\nsleep $(cat %s)\nexec -a /usr/local/bin/%s /usr/sbin/%[2]s \"$@\"\n", startPath, name)
}

// nginxUnits are the unit of Debian with other paths.
var nginxUnits = units("Type=forking\nPIDFile=/run/compare.pid\nExecStart=/usr/local/bin/nginx -c "+configPath+
	"\nExecReload=/usr/sbin/nginx -c "+configPath+" -s reload\nKillMode=mixed\n", "")

// nginxUpgrade does what the init script of Debian does: USR2, and QUIT for the old
// master when both have written their PID files.
const nginxUpgrade = `#!/bin/sh -e
kill -USR2 $(cat /run/compare.pid)
for i in $(seq 300); do
	sleep 0.1
	if [ -s /run/compare.pid ] && [ -s /run/compare.pid.oldbin ]; then
		kill -QUIT $(cat /run/compare.pid.oldbin)
		exit
	fi
	if [ $i -gt 5 ] && [ ! -s /run/compare.pid.oldbin ]; then
		exit 1
	fi
done
exit 1
`

// slowPath is a file of 2 KB: nginx sends half of it at once, the other half a second later.
const slowPath = "/srv/slow"

func nginxConfig(v version) string {
	text := fmt.Sprintf(`user root;
worker_processes 2;
pid /run/compare.pid;
error_log stderr;
events { worker_connections 8192; }
http {
	access_log off;
	keepalive_timeout 1h;
	keepalive_requests 1000000;
	default_type text/plain;
	server {
		listen %s backlog=4096;
		location = / { return 200 "version=v%d generation=%[2]d\n"; }
		location = /stream { limit_rate 1k; alias %s; }
	}
}
`, address, v.number, slowPath)
	if v.bad {
		text += "an error;\n"
	}
	return text
}

// haproxyUnits are the unit of Debian with other paths.
var haproxyUnits = units("Type=notify\nExecStart=/usr/local/bin/haproxy -Ws -f "+configPath+" -p /run/compare.pid\n"+
	"ExecReload=/usr/sbin/haproxy -Ws -f "+configPath+" -c -q\nExecReload=/bin/kill -USR2 $MAINPID\n"+
	"KillMode=mixed\nSuccessExitStatus=143\n", "")

func haproxyConfig(v version) string {
	text := fmt.Sprintf(`global
	maxconn 8192
	nbthread 2
defaults
	mode http
	timeout connect 5s
	timeout server 30s
	timeout client 1h
	timeout http-request 30s
	timeout http-keep-alive 1h
frontend web
	bind %s backlog 4096
	tcp-request inspect-delay 1s
	tcp-request content accept if !{ path /stream }
	tcp-request content accept if WAIT_END
	http-request return status 200 content-type text/plain lf-string "version=v%d generation=%[2]d\n"
`, address, v.number)
	if v.bad {
		text += "an error\n"
	}
	return text
}
