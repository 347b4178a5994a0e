// Package startup has what this process knows of its start: the environment, the working
// directory and the path of the program.
package startup

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
)

// Environ is the environment at the start of this process, which the manager set for the
// unit. The program may change its environment later.
type Environ []string

// ReadEnviron reads the environment of the start. Without /proc, or if that memory was
// overwritten (setproctitle), it returns the current environment.
func ReadEnviron() Environ {
	text, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return os.Environ()
	}
	e := Environ(strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"))
	if len(text) == 0 {
		return Environ{}
	}
	if slices.ContainsFunc(e, func(kv string) bool { return !strings.Contains(kv, "=") }) {
		return os.Environ()
	}
	return e.unique()
}

// unique keeps the first of several values of a variable, as os.Environ does.
func (e Environ) unique() Environ {
	seen := map[string]bool{}
	return slices.DeleteFunc(e, func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		again := seen[key]
		seen[key] = true
		return again
	})
}

// Lookup returns the current value of a variable, or its value at the start if the program
// has removed or emptied it.
func (e Environ) Lookup(key string) (string, bool) {
	if v := os.Getenv(key); v != "" {
		return v, true
	}
	return e.atStart(key)
}

func (e Environ) atStart(key string) (string, bool) {
	for _, kv := range e {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

// LookupDescriptor is Lookup for a variable with the number of a descriptor. The program may
// have removed the variable before New. New removes it, too, and sets the descriptor to
// close-on-exec. So the value at the start counts only while the descriptor is not
// close-on-exec.
func (e Environ) LookupDescriptor(key string) (string, bool) {
	if v, ok := os.LookupEnv(key); ok {
		return v, true
	}
	v, ok := e.atStart(key)
	raw, err := strconv.Atoi(v)
	return v, ok && err == nil && raw >= fd.LineNumber && fd.Inherited(raw)
}

// RestoreActivation sets the variables of sd_listen_fds(3) again, if the program has removed
// them and no other package has taken the descriptors, which sets them to close-on-exec.
func (e Environ) RestoreActivation() error {
	if os.Getenv("LISTEN_FDS") != "" || !fd.Inherited(fd.LineNumber) {
		return nil
	}
	var errs []error
	for _, key := range []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if v, ok := e.atStart(key); ok {
			errs = append(errs, os.Setenv(key, v))
		}
	}
	return errors.Join(errs...)
}

// Notifier returns the Notifier of this unit's manager. It sets the manager's variables only
// while package notify reads them.
func (e Environ) Notifier() (*notify.Notifier, error) {
	for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"} {
		v, ok := e.atStart(key)
		if os.Getenv(key) != "" || !ok {
			continue
		}
		if _, emptied := os.LookupEnv(key); emptied {
			defer os.Setenv(key, "")
		} else {
			defer os.Unsetenv(key)
		}
		if err := os.Setenv(key, v); err != nil {
			return nil, err
		}
	}
	return notify.New()
}
