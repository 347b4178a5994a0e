//go:build linux

package upgradetest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// defaultPath is the PATH= that systemd gives to system services.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ returns the environment of a process of the service, without what
// depends on its pid or on the descriptors that it gets.
func (s *service) environ(main bool) []string {
	env := append([]string{defaultPath}, s.m.options.Env...)
	for _, name := range s.conf.passEnv {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	env = append(env, "INVOCATION_ID="+s.invocation)
	if paths := s.runtimePaths(); len(paths) > 0 {
		env = append(env, "RUNTIME_DIRECTORY="+strings.Join(paths, ":"))
	}
	access := s.notifyAccess()
	if main && access != "none" || access == "exec" || access == "all" {
		env = append(env, "NOTIFY_SOCKET="+s.m.notify.address)
		if s.conf.storeMax > 0 && s.m.options.Version >= 254 {
			env = append(env, fmt.Sprintf("FDSTORE=%d", s.conf.storeMax))
		}
	}
	if !main && s.main != 0 {
		env = append(env, "MAINPID="+strconv.Itoa(s.main))
		if id, err := pidfdID(s.main); err == nil && s.m.options.Version >= 258 {
			env = append(env, "MAINPIDFDID="+strconv.FormatUint(id, 10))
		}
	}
	return append(env, s.conf.environment...)
}

func (s *service) workingDir() string {
	dir := strings.TrimPrefix(s.conf.workingDir, "-")
	if dir == "" {
		return "/"
	}
	return dir
}

// listenEnv describes the passed descriptors, without LISTEN_PID=.
func listenEnv(names []string) []string {
	return []string{"LISTEN_FDS=" + strconv.Itoa(len(names)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}
}

// lookupIn finds variables in env; of several of the same name the last counts.
func lookupIn(env []string) func(string) string {
	return func(name string) string {
		for i := len(env) - 1; i >= 0; i-- {
			if v, ok := strings.CutPrefix(env[i], name+"="); ok {
				return v
			}
		}
		return ""
	}
}

// lastOfEach leaves the last value of each variable. The process that gets the
// environment would otherwise choose, and some take the first.
func lastOfEach(env []string) []string {
	last := map[string]int{}
	for i, e := range env {
		name, _, _ := strings.Cut(e, "=")
		last[name] = i
	}
	var out []string
	for i, e := range env {
		if name, _, _ := strings.Cut(e, "="); last[name] == i {
			out = append(out, e)
		}
	}
	return out
}
