package activation

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// variables is an environment to look up in.
type variables map[string]string

func (v variables) lookup(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// daemon is the process that reads: PID 4711, which was started with pidfd inode
// 99.
var daemon = process{pid: 4711, pidfdID: func() (uint64, error) { return 99, nil }}

func TestEnvironmentIsReadAsTheManagerMeansIt(t *testing.T) {
	oldKernel := daemon
	oldKernel.pidfdID = func() (uint64, error) { return 0, errors.ErrUnsupported }
	first := process{pid: 1, pidfdID: daemon.pidfdID}
	tests := []struct {
		name  string
		vars  variables
		self  process
		count int
		names []string
	}{
		{"not activated", variables{}, daemon, 0, nil},
		{"one listener", variables{"LISTEN_PID": "4711", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}, daemon, 1, []string{"http"}},
		{"several, one name twice", variables{"LISTEN_PID": "4711", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:a"}, daemon, 3, []string{"a", "b", "a"}},
		{"before 227 without names", variables{"LISTEN_PID": "4711", "LISTEN_FDS": "2"}, daemon, 2, []string{"unknown", "unknown"}},
		{"empty names are names", variables{"LISTEN_PID": "4711", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "::x y"}, daemon, 3, []string{"", "", "x y"}},
		{"one empty name", variables{"LISTEN_PID": "4711", "LISTEN_FDS": "1", "LISTEN_FDNAMES": ""}, daemon, 1, []string{""}},
		{"for our parent", variables{"LISTEN_PID": "4710", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}, daemon, 0, nil},
		{"for our parent, garbage", variables{"LISTEN_PID": "4710", "LISTEN_FDS": "x"}, daemon, 0, nil},
		{"without LISTEN_PID", variables{"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}, daemon, 0, nil},
		{"without LISTEN_FDS", variables{"LISTEN_PID": "4711", "LISTEN_FDNAMES": "http"}, daemon, 0, nil},
		{"259, our pidfd", variables{"LISTEN_PID": "4711", "LISTEN_PIDFDID": "99", "LISTEN_FDS": "1"}, daemon, 1, []string{"unknown"}},
		{"259, the PID used again", variables{"LISTEN_PID": "4711", "LISTEN_PIDFDID": "98", "LISTEN_FDS": "1"}, daemon, 0, nil},
		{"259, kernel before 6.9", variables{"LISTEN_PID": "4711", "LISTEN_PIDFDID": "98", "LISTEN_FDS": "1"}, oldKernel, 1, []string{"unknown"}},
		{"257 PrivatePIDs", variables{"LISTEN_PID": "3690", "SYSTEMD_EXEC_PID": "3690", "LISTEN_FDS": "1"}, first, 1, []string{"unknown"}},
		{"259 PrivatePIDs", variables{"LISTEN_PID": "1", "LISTEN_PIDFDID": "99", "SYSTEMD_EXEC_PID": "1", "LISTEN_FDS": "1"}, first, 1, []string{"unknown"}},
		{"262 PrivatePIDs, the pidfd of another", variables{"LISTEN_PID": "1", "LISTEN_PIDFDID": "98", "SYSTEMD_EXEC_PID": "1", "LISTEN_FDS": "1"}, first, 1, []string{"unknown"}},
		{"PID 1, for another", variables{"LISTEN_PID": "3690", "SYSTEMD_EXEC_PID": "3600", "LISTEN_FDS": "1"}, first, 0, nil},
		{"PID 1 of 259, for another", variables{"LISTEN_PID": "3690", "LISTEN_PIDFDID": "99", "SYSTEMD_EXEC_PID": "3690", "LISTEN_FDS": "1"}, first, 0, nil},
		{"not PID 1, SYSTEMD_EXEC_PID agrees", variables{"LISTEN_PID": "3690", "SYSTEMD_EXEC_PID": "3690", "LISTEN_FDS": "1"}, daemon, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env, err := readEnvironment(tt.vars.lookup, tt.self)
			if err != nil || env.count != tt.count {
				t.Fatalf("readEnvironment(%v) = %d descriptors, error %v; want %d", tt.vars, env.count, err, tt.count)
			}
			var names []string
			for i := range env.count {
				names = append(names, env.name(i))
			}
			if !slices.Equal(names, tt.names) {
				t.Errorf("readEnvironment(%v) names = %q, want %q", tt.vars, names, tt.names)
			}
		})
	}
}

func TestMalformedEnvironmentSaysWhichVariable(t *testing.T) {
	tests := []struct {
		vars  variables
		says  string
		count int // of descriptors that the error leaves behind
	}{
		{variables{"LISTEN_PID": "", "LISTEN_FDS": "1"}, `LISTEN_PID=""`, 0},
		{variables{"LISTEN_PID": "0", "LISTEN_FDS": "1"}, `LISTEN_PID="0"`, 0},
		{variables{"LISTEN_PID": "-4711", "LISTEN_FDS": "1"}, `LISTEN_PID="-4711"`, 0},
		{variables{"LISTEN_PID": "4711 ", "LISTEN_FDS": "1"}, `LISTEN_PID="4711 "`, 0},
		{variables{"LISTEN_PID": "99999999999", "LISTEN_FDS": "1"}, `LISTEN_PID="99999999999"`, 0},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": ""}, `LISTEN_FDS=""`, 0},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "0"}, `LISTEN_FDS="0"`, 0},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "-1"}, `LISTEN_FDS="-1"`, 0},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "1x"}, `LISTEN_FDS="1x"`, 0},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "0x1"}, `LISTEN_FDS="0x1"`, 0},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "2147483645"}, `LISTEN_FDS="2147483645"`, 0},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http"}, "1 names for LISTEN_FDS=2", 2},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"}, "FileDescriptorName=", 1},
		{variables{"LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": ""}, `LISTEN_FDNAMES=""`, 2},
		{variables{"LISTEN_PID": "4711", "LISTEN_PIDFDID": "x", "LISTEN_FDS": "1"}, `LISTEN_PIDFDID="x"`, 0},
	}
	for _, tt := range tests {
		env, err := readEnvironment(tt.vars.lookup, daemon)
		if !errors.Is(err, ErrEnvironment) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("readEnvironment(%v) error = %v, want ErrEnvironment that says %s", tt.vars, err, tt.says)
		}
		if env.count != tt.count {
			t.Errorf("readEnvironment(%v) counts %d descriptors, want %d", tt.vars, env.count, tt.count)
		}
	}
}

func TestRemoteAddressIsReadForIPPeersOnly(t *testing.T) {
	tests := []struct{ host, port, want string }{
		{"192.0.2.7", "49152", "192.0.2.7:49152"},
		{"2001:db8::7", "49152", "[2001:db8::7]:49152"},
		{"fe80::1%eth0", "49152", "[fe80::1%eth0]:49152"},
		{"192.0.2.7", "", ""},
		{"", "", ""},
		{"/run/client.sock", "", ""},
		{"vsock:2", "1024", ""},
	}
	for _, tt := range tests {
		vars := variables{"LISTEN_PID": "4711", "LISTEN_FDS": "1", "REMOTE_ADDR": tt.host, "REMOTE_PORT": tt.port}
		env, err := readEnvironment(vars.lookup, daemon)
		if err != nil {
			t.Errorf("readEnvironment(%v): %v", vars, err)
		}
		got := ""
		if env.remote != nil {
			got = env.remote.String()
		}
		if got != tt.want {
			t.Errorf("REMOTE_ADDR=%s REMOTE_PORT=%s: peer %q, want %q", tt.host, tt.port, got, tt.want)
		}
	}
}

// FuzzEnvironment holds that no environment makes the reader panic, allocate
// without bound or count descriptors that it cannot name.
func FuzzEnvironment(f *testing.F) {
	f.Add("4711", "1", "web.socket", true, "", "4711", "")                           // 247, 252
	f.Add("4711", "3", "http:https:stored", true, "99", "4711", "")                  // 262
	f.Add("4711", "1", "connection", true, "", "4711", "127.0.0.1")                  // Accept=yes
	f.Add("3690", "2", "http:http", true, "", "3690", "")                            // 257 with PrivatePIDs=
	f.Add("1", "2147483644", "", false, "18446744073709551615", "", "fe80::1%25eth") // limits
	f.Add("4711", "2", "a", true, "", "", "")
	f.Fuzz(func(t *testing.T, pid, fds, names string, named bool, id, exec, host string) {
		vars := variables{"LISTEN_PID": pid, "LISTEN_FDS": fds, "SYSTEMD_EXEC_PID": exec, "REMOTE_ADDR": host, "REMOTE_PORT": "1"}
		if named {
			vars["LISTEN_FDNAMES"] = names
		}
		if id != "" {
			vars["LISTEN_PIDFDID"] = id
		}
		for _, self := range []process{daemon, {pid: 1, pidfdID: daemon.pidfdID}} {
			env, err := readEnvironment(vars.lookup, self)
			checkEnvironment(t, vars, self, env, err)
		}
	})
}

func checkEnvironment(t *testing.T, vars variables, self process, env environment, err error) {
	t.Helper()
	if env.count < 0 || env.count > math.MaxInt32-firstFD {
		t.Fatalf("count %d", env.count)
	}
	if err != nil {
		if !errors.Is(err, ErrEnvironment) || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Fatalf("error %q", err)
		}
		return
	}
	if env.count == 0 {
		return
	}
	if env.names != nil && strings.Join(env.names, ":") != vars["LISTEN_FDNAMES"] {
		t.Fatalf("names %q of %q", env.names, vars["LISTEN_FDNAMES"])
	}
	_, _ = env.name(0), env.name(env.count-1)
	if pid, _ := strconv.Atoi(vars["LISTEN_PID"]); pid != self.pid && (self.pid != 1 || vars["LISTEN_PIDFDID"] != "") {
		t.Fatalf("PID %d took what is for %s", self.pid, vars["LISTEN_PID"])
	}
}
