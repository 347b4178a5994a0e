package cmdline_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/units/internal/cmdline"
)

// started are programs with their arguments up to the program that they start.
var started = []string{
	"env A=b", "env -i -u A", "nice -n 1", "ionice -c 2", "chrt -o 0", "taskset 1", "uclampset -m 0", "choom -n 0 --", "prlimit --core=0", "numactl -m 0",
	"setpriv --no-new-privs", "setpriv --reuid 0", "chroot /", "stdbuf -o L", "nohup", "setarch x86_64", "unshare -u", "unshare -f", "unshare -fp", "unshare --fork -u",
	"nsenter -t 1 -u", "nsenter -t 1 -p", "nsenter -at 1", "flock -F LOCK", "flock --no-fork LOCK", "flock LOCK", "strace -o LOG", "strace -D -o LOG", "strace -DDD -o LOG",
	"systemd-cat -t test", "gosu root", "su-exec root", "setuidgid root", "s6-setuidgid root", "envdir DIR", "s6-envdir DIR", "chpst -u root", "chpst -m 900000000",
	"faketime -f +1d", "start-stop-daemon --start --startas PROGRAM --exec", "runuser -u root --", "sudo -n", "doas", "timeout 10", "time", "tini --", "tini -g --",
	"tini-static --", "dumb-init --", "dumb-init -c", "catatonit --", "docker-init --", "setsid", "setsid -w", "setsid -f", "fakeroot", "unbuffer", "systemd-inhibit",
	"ltrace -o LOG", "perf stat -o LOG", "ssh-agent", "sg root", "dbus-run-session --", "bwrap --bind / / --dev-bind /dev /dev", "capsh -- -c", "busybox env", "busybox nice", "busybox timeout 10",
}

// TestProgramsStartOthersAsTheListsSay runs the programs that the machine has, and compares
// the process that comes out with what follow says. Each is a session leader, as systemd
// starts it.
func TestProgramsStartOthersAsTheListsSay(t *testing.T) {
	dir := t.TempDir()
	program, result := filepath.Join(dir, "program"), filepath.Join(dir, "result")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho $$ >"+result+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	words := strings.NewReplacer("LOCK", filepath.Join(dir, "lock"), "LOG", filepath.Join(dir, "log"), "DIR", t.TempDir(), "PROGRAM", program)
	for _, line := range started {
		t.Run(line, func(t *testing.T) {
			argv := strings.Fields(words.Replace(line))
			if _, err := exec.LookPath(argv[0]); err != nil {
				t.Skip(err)
			}
			_, stays := cmdline.Follow("", append(argv[:len(argv):len(argv)], "/usr/bin/myapp"))
			_ = os.Remove(result) // of the program before
			cmd := exec.CommandContext(t.Context(), argv[0], append(argv[1:len(argv):len(argv)], program)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			out, err := cmd.CombinedOutput() // which waits for a child that is left behind
			text, _ := os.ReadFile(result)   // "" if the program was not started
			pid, missing := strconv.Atoi(strings.TrimSpace(string(text)))
			if missing != nil {
				t.Skipf("it does not start the program here: %v %s", err, out)
			}
			if executes := pid == cmd.Process.Pid; executes != (stays == nil) {
				t.Errorf("it executes the program in its own process: %v, the lists say %v", executes, stays == nil)
			}
		})
	}
}
