package units_test

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// TestValuesAreReadAsSystemdDoes has values that systemd-analyze verify of 252 takes or
// ignores.
func TestValuesAreReadAsSystemdDoes(t *testing.T) {
	finds(t, []relative{
		{"KillSignal=SIGTREM", "invalid-value"},
		{"KillSignal=sigterm", "invalid-value"},
		{"KillSignal=65", "invalid-value"},
		{"KillSignal=SIGRTMIN+3", "kill-signal"},
		{"FinalKillSignal=KILL\nWatchdogSignal=SIGABRT", ""},
		{"MemoryMax=2GB", "invalid-value"},
		{"MemoryMax=2g", "invalid-value"},
		{"MemoryMax=1G 500M\nMemoryHigh=1.5G\nMemoryLimit=80%", ""},
		{"MemoryMax=1024B", "memory-max"},
		{"MemoryMax=32M\nMemoryMax=", ""},
		{"TasksMax=0", "invalid-value"},
		{"TasksMax=10%", ""},
		{"TasksMax=16\nTasksMax=", ""},
		{"LimitNOFILE=65536 # many", "invalid-value"},
		{"LimitNOFILE=64K", "invalid-value"},
		{"LimitNOFILE=524288:1024", "invalid-value"},
		{"LimitNOFILE=infinity:1024", "invalid-value"},
		{"LimitNOFILE=16384:infinity", ""},
		{"LimitCPU=1h", "runtime-max"},
		{"TimeoutStopSec=60s # long", "invalid-value"},
		{"TimeoutStopSec=1min 30s\nTimeoutStartSec=1.5min", ""},
		{"TimeoutStopSec=600000y", "invalid-value"},
		{"TimeoutStopSec=60.", "invalid-value"},
		{"MemoryMax=512M 1G", "invalid-value"},
		{`Environment="MAINPI\x44=1"`, "environment"},
		{"RuntimeMaxSec=1month", "runtime-max"},
		{"RuntimeMaxSec=1y 2w", "runtime-max"},
		{"RestrictAddressFamilies=\nRestrictAddressFamilies=AF_LOCAL AF_INET", ""},
		{"RestrictAddressFamilies=\nRestrictAddressFamilies=none", "address-families"},
		{"RestrictAddressFamilies=\nRestrictAddressFamilies=~AF_FILE", "address-families"},
		{"SystemCallFilter=@system-service\nSystemCallFilter=~memfd_create", "system-calls"},
		{"SystemCallFilter=@system-service\nSystemCallFilter=~execve execveat", "system-calls"},
		{"SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources @mount:EPERM", ""},
		{"PrivateNetwork=yes", "private-network"},
		{"[Unit]\nJoinsNamespaceOf=proxy.service\n[Service]\nPrivateNetwork=yes", ""},
		{"StandardOutput=file:/dev/console\nStandardError=append:/dev/stderr", ""},
		{"NoExecPaths=/\nExecPaths=/srv/current /usr/lib /usr/bin\nExecReload=\nExecReload=/srv/current/ctl reload", "exec-paths"},
		{"NoExecPaths=/srv/data\nExecReload=\nExecReload=/srv/current/ctl reload", ""},
	})
}

func TestSectionsOfOtherUnitsAreFound(t *testing.T) {
	finds(t, []relative{
		{"[Unit]\nUser=web", "wrong-section"},
		{"[Unit]\nExecStop=/bin/true", "wrong-section"},
		{"Wants=network-online.target", "wrong-section"},
		{"[Install]\nRestartSec=5", "wrong-section"},
		{"[Socket]\n[Socket]\nExecReload=/bin/true", "wrong-section"},
		{"[Socket]\n[Socket]\nExecStartPre=/bin/true\nEnvironment=A=1\nTimeoutSec=5", ""},
		{"[Unit]\nX-Ours=1\n[Socket]\nListenStream=80\nAccept=yes", "wrong-section"},
		{"[Timer]\nOnCalendar=daily", "wrong-section"},
		{"StartLimitBurst=5\nCPUShares=100", ""}, // names that were there until 229 and 252
	})
}

func TestAddressesAreReadAsSystemdDoes(t *testing.T) {
	for address, want := range map[string]string{
		"Stream=:8080":                  "8080",
		"Stream=*:8080":                 "8080",
		"Stream=localhost:8080":         "no names",
		"Stream=127.0.0.1:http":         "no names",
		"Stream=127.0.0.1:80800":        "no names",
		"Stream=127.0.0.1":              "no names",
		"Stream=::1:8080":               "no names",
		"Stream=70000":                  "1 to 65535",
		"Stream=run/a.sock":             "no names",
		"Stream=\"/run/a.sock\"":        "no names",
		"Stream=/run/" + long:           "longer",
		"Stream=vsock:x:80":             "vsock:CID:PORT",
		"SequentialPacket=127.0.0.1:80": "a path or an abstract name",
		"FIFO=run/fifo":                 "absolute",
		"MessageQueue=queue":            "absolute",
		"Stream=[fe80::1%%lo]:8081":     "",
		"Stream=vsock::80":              "",
		"Stream=vsock:2:80":             "",
		"SequentialPacket=@abstract":    "",
		"Netlink=kobject-uevent 1":      "",
		"Stream=127.0.0.1:%p":           "no names",
		"Stream=%t/a.sock":              "",
	} {
		got := check(append(mustUnits(t, myapp()), inSocket("Listen"+address)))
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0].Rule != "invalid-value" || !strings.Contains(got[0].Wrong, want)) {
			t.Errorf("Listen%s: %v, want %q", address, got, want)
		}
	}
	d := myapp()
	d.Sockets[0].Listen = []string{":8080"}
	if _, err := d.Units(); err == nil || !strings.Contains(err.Error(), "a port alone for all addresses: 8080") {
		t.Errorf("units for :8080: %v", err)
	}
}

var long = strings.Repeat("a", 110)

// TestPortsThatCannotBothBeOpenAreFound has what the kernel says of two sockets that listen
// with SO_REUSEADDR, as systemd opens them.
func TestPortsThatCannotBothBeOpenAreFound(t *testing.T) {
	for lines, twice := range map[string]bool{
		"ListenStream=8081\nListenStream=127.0.0.1:8081":                                          true,
		"ListenStream=127.0.0.1:8081\nListenStream=0.0.0.0:8081":                                  true,
		"ListenStream=127.0.0.1:8081\nListenStream=[::]:8081":                                     true,
		"ListenStream=[::1]:8081\nListenStream=[::]:8081":                                         true,
		"ListenStream=[::1]:8081\nListenStream=0.0.0.0:8081":                                      false,
		"ListenStream=127.0.0.1:8081\nListenStream=[::1]:8081":                                    false,
		"ListenStream=127.0.0.1:8081\nListenStream=[::]:8081\nBindIPv6Only=ipv6-only":             false,
		"ListenStream=127.0.0.1:8081\nListenStream=127.0.0.2:8081\nListenDatagram=127.0.0.1:8081": false,
		"ListenDatagram=8081\nListenDatagram=127.0.0.1:8081":                                      false,
		"ListenStream=8081\nListenStream=127.0.0.1:8081\nReusePort=yes":                           false,
	} {
		got := ids(check(append(mustUnits(t, myapp()), inSocket(lines))))
		if (len(got) == 1 && got[0] == "socket-address-twice") != twice || len(got) > 1 {
			t.Errorf("%q: %v, want it found: %v", lines, got, twice)
		}
	}
}

func TestTemplatesAreReadAsInstances(t *testing.T) {
	socket := func(listen string) units.File {
		return units.File{Name: "app@.socket", Text: "[Socket]\nFileDescriptorName=http\n" + listen + "\n"}
	}
	service := units.File{Name: "app@.service", Text: "[Service]\nType=notify\nExecStart=/usr/bin/x\nRuntimeDirectory=app/%i\n"}
	for listen, want := range map[string]string{
		"ListenStream=/run/app/%i/http.sock": "socket-path-removed",
		"ListenStream=/run/app/%i.sock":      "",
		"ListenStream=/run/app/http/%I.sock": "",
		"ListenStream=127.0.0.1:80%i":        "",
		"ListenStream=:80%i":                 "", // it depends on the instance
	} {
		got := ""
		for _, f := range mustCheckAll([]units.File{service, socket(listen)}) {
			if f.Unit == "app@.socket" && f.Rule != "socket-backlog" {
				got += f.Rule
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", listen, got, want)
		}
	}
	deploy := units.File{Name: "app-web@srv-a.service", Text: "[Service]\nType=notify\nExecStart=/usr/bin/x\nRuntimeDirectory=%j/%I\n"}
	at := units.File{Name: "app-web@srv-a.socket", Text: "[Socket]\nListenStream=/run/web/srv/a/http.sock\n"}
	found := false
	for _, f := range mustCheckAll([]units.File{deploy, at}) {
		found = found || f.Rule == "socket-path-removed"
	}
	if !found {
		t.Error("the path in RuntimeDirectory=%j/%I is not found")
	}
}
