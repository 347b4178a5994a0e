package notify_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/notify"
)

// lookup looks up variables as os.LookupEnv does.
func lookup(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func TestEnvironment(t *testing.T) {
	const pid = 4711
	tests := []struct {
		name     string
		pid      int
		env      map[string]string
		watchdog time.Duration
		storeMax int
	}{
		{name: "no more than a socket", pid: pid},
		{name: "watchdog for this process", pid: pid, env: map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4711"}, watchdog: 30 * time.Second},
		{name: "watchdog for another process", pid: pid, env: map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4710"}},
		{name: "watchdog for a successor", pid: pid, env: map[string]string{"WATCHDOG_USEC": "30000000"}, watchdog: 30 * time.Second},
		{name: "process but no watchdog", pid: pid, env: map[string]string{"WATCHDOG_PID": "4711"}},
		{name: "endless watchdog", pid: pid, env: map[string]string{"WATCHDOG_USEC": "18446744073709551614"}, watchdog: math.MaxInt64 / 1000 * 1000},
		{name: "PrivatePIDs= on 257", pid: 1, env: map[string]string{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "3690", "SYSTEMD_EXEC_PID": "3690"}, watchdog: time.Second},
		{name: "child of a service in a namespace of its own", pid: 1, env: map[string]string{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "3690"}},
		{name: "child of a service", pid: pid, env: map[string]string{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "3690", "SYSTEMD_EXEC_PID": "3690"}},
		{name: "store", pid: pid, env: map[string]string{"FDSTORE": "512"}, storeMax: 512},
	}
	for _, test := range tests {
		env := map[string]string{"NOTIFY_SOCKET": "/run/systemd/notify"}
		for k, v := range test.env {
			env[k] = v
		}
		socket, watchdog, storeMax, err := notify.ReadEnvironment(lookup(env), test.pid)
		if err != nil || socket != "/run/systemd/notify" || watchdog != test.watchdog || storeMax != test.storeMax {
			t.Errorf("%s: %q, %v, %d, %v, want watchdog %v, store %d", test.name, socket, watchdog, storeMax, err, test.watchdog, test.storeMax)
		}
	}
}

func TestEnvironmentThatNoManagerMade(t *testing.T) {
	tests := []map[string]string{
		{"WATCHDOG_USEC": "soon"},
		{"WATCHDOG_USEC": "0"},
		{"WATCHDOG_USEC": "18446744073709551615"},
		{"WATCHDOG_USEC": "-1"},
		{"WATCHDOG_USEC": ""},
		{"WATCHDOG_USEC": "1", "WATCHDOG_PID": "0"},
		{"WATCHDOG_USEC": "1", "WATCHDOG_PID": "me"},
		{"FDSTORE": "many"},
		{"FDSTORE": "-1"},
	}
	for _, env := range tests {
		env["NOTIFY_SOCKET"] = "/run/systemd/notify"
		_, _, _, err := notify.ReadEnvironment(lookup(env), 4711)
		if err == nil || !strings.Contains(err.Error(), "environment variable ") {
			t.Errorf("%v: %v, want an error that names the variable", env, err)
		}
	}
}

func TestWithoutManagerTheRestIsNotRead(t *testing.T) {
	for _, env := range []map[string]string{
		{},
		{"NOTIFY_SOCKET": ""},
		{"WATCHDOG_USEC": "nonsense", "FDSTORE": "nonsense"},
	} {
		socket, watchdog, storeMax, err := notify.ReadEnvironment(lookup(env), 4711)
		if socket != "" || watchdog != 0 || storeMax != 0 || err != nil {
			t.Errorf("%v: %q, %v, %d, %v, want nothing", env, socket, watchdog, storeMax, err)
		}
	}
}
