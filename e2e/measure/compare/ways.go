package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A way is a way to upgrade a server.
type way struct {
	key     string // for -only
	name    string
	program string                 // below e2e/testdata, or a server of Debian
	units   map[string]string      // text by name
	scripts map[string]string      // further programs, text by name
	config  func(v version) string // of a server of Debian
	start   string                 // the operator's command for the start, "" for that of the unit
	upgrade string                 // and for the upgrade
	shared  bool                   // each version has an instance of the unit
	always  bool                   // must lose nothing

	binary string // the built program, empty for a server of Debian
}

// A version is a version of the settings of a server.
type version struct {
	number int
	start  time.Duration // how long a start takes
	bad    bool          // has an error
}

const (
	address    = "127.0.0.1:8080"
	configPath = "/etc/compare/config"
	startPath  = "/etc/compare/start" // seconds, for the servers of Debian

	reload  = "systemctl reload compare"
	restart = "systemctl restart compare"

	startBoth = "systemctl start compare.socket compare.service"
)

// ways are all ways, in the order of the table.
var ways = []way{
	{key: "overlap", name: "this module, reload", program: "ways", always: true, upgrade: reload,
		units: ours("overlap", "")},
	{key: "inplace", name: "this module, reload in place", program: "ways", upgrade: reload,
		units: ours("inplace", "")},
	{key: "store", name: "this module, restart, fd store", program: "ways", upgrade: restart,
		units: ours("overlap", "")},
	{key: "oursocket", name: "this module, restart, socket unit", program: "ways", start: startBoth, upgrade: restart,
		units: ours("overlap", socketUnit)},
	{key: "restart", name: "`systemctl restart`", program: "ways", upgrade: restart,
		units: plain("restart", "")},
	{key: "socket", name: "`systemctl restart`, socket unit", program: "ways", start: startBoth, upgrade: restart,
		units: plain("restart", socketUnit)},
	{key: "exec", name: "execve", program: "ways", upgrade: reload,
		units: plain("exec", "")},
	{key: "reuseport", name: "SO_REUSEPORT: start new, stop old", program: "ways", shared: true,
		start: "/usr/local/bin/rollover", upgrade: "/usr/local/bin/rollover", scripts: map[string]string{"rollover": rollover},
		units: map[string]string{"compare@.service": service("Type=notify\nExecStart=/usr/local/bin/ways -way reuseport -settings " + configPath + "\n")}},
	{key: "tableflip", name: "tableflip 1.2.3, its example", program: "tableflip", upgrade: reload,
		units: map[string]string{"compare.service": service("Type=simple\nPIDFile=/run/compare.pid\n" +
			"ExecStart=/usr/local/bin/tableflip -pidfile /run/compare.pid -settings " + configPath + "\nExecReload=/bin/kill -HUP $MAINPID\n")}},
	{key: "nginxbinary", name: "nginx, new binary", program: "nginx", upgrade: "/usr/local/bin/nginx-upgrade",
		units: nginxUnits, scripts: map[string]string{"nginx": wrapper("nginx"), "nginx-upgrade": nginxUpgrade}, config: nginxConfig},
	{key: "nginx", name: "nginx, reload", program: "nginx", upgrade: reload,
		units: nginxUnits, scripts: map[string]string{"nginx": wrapper("nginx")}, config: nginxConfig},
	{key: "haproxy", name: "haproxy, reload", program: "haproxy", upgrade: reload,
		units: haproxyUnits, scripts: map[string]string{"haproxy": wrapper("haproxy")}, config: haproxyConfig},
}

func keys() (keys []string) {
	for _, w := range ways {
		keys = append(keys, w.key)
	}
	return keys
}

// service returns a unit. All ways have the same settings besides text.
func service(text string) string {
	return "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\nRestartSec=100ms\n" +
		"LimitNOFILE=65536\nTimeoutStartSec=60s\nTimeoutStopSec=45s\n" + text
}

const socketUnit = "[Socket]\nListenStream=" + address + "\nFileDescriptorName=http\nBacklog=4096\n"

func units(text, socket string) map[string]string {
	u := map[string]string{"compare.service": service(text)}
	if socket != "" {
		u["compare.socket"] = socket
	}
	return u
}

func ours(mode, socket string) map[string]string {
	return units("Type=notify\nNotifyAccess=main\nExecStart=/usr/local/bin/ways -way "+mode+" -settings "+configPath+
		"\nExecReload=/usr/local/bin/ways reload\nFileDescriptorStoreMax=64\nRuntimeDirectory=compare\nOOMPolicy=continue\n", socket)
}

func plain(mode, socket string) map[string]string {
	return units("Type=notify\nExecStart=/usr/local/bin/ways -way "+mode+" -settings "+configPath+
		"\nExecReload=/bin/kill -HUP $MAINPID\n", socket)
}

// rollover starts the next instance. If that succeeds, it stops the one before.
const rollover = `#!/bin/sh -e
old=$(cat /run/instance 2>/dev/null || echo 0)
new=$((old + 1))
systemctl start compare@$new || { systemctl stop compare@$new; exit 1; }
echo $new >/run/instance
if [ $old -gt 0 ]; then systemctl stop compare@$old; fi
`

// groups returns the cgroups of the processes below system.slice while versions up to
// next are there.
func (w way) groups(next int) (names []string) {
	if !w.shared {
		return []string{"compare.service"}
	}
	for i := max(1, next-1); i <= next; i++ {
		names = append(names, fmt.Sprintf("system-compare.slice/compare@%d.service", i))
	}
	return names
}

// provide returns the path of the built program, or an error that says what is missing.
func (w way) provide(ctx context.Context, out string) (string, error) {
	if w.config != nil {
		_, err := os.Stat("/usr/sbin/" + w.program)
		return "", err
	}
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/cutover-go/cutover/e2e/measure").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, ".")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(dir)), "../testdata", w.program)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w", w.program, err), errors.New(strings.TrimSpace(string(text))))
	}
	return out, nil
}

// settings returns the files of a version by their paths.
func (w way) settings(v version) map[string]string {
	files := map[string]string{startPath: fmt.Sprint(v.start.Seconds(), "\n")}
	switch {
	case w.config != nil:
		files[configPath] = w.config(v)
	case v.bad:
		files[configPath] = "an error\n"
	default:
		files[configPath] = fmt.Sprintf("version=%d\nstart=%v\n", v.number, v.start)
	}
	return files
}
