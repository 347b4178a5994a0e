//go:build linux

package control_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/needs"
)

// The users of these tests, none of whom needs to exist.
const (
	nobody  = 65534
	another = 65533
)

// programs are the roles of the test binary when a test starts it as another user.
var programs = map[string]func(args []string) int{
	"ask":     askProgram,
	"listen":  func(args []string) int { return listenProgram(args, false) },
	"publish": func(args []string) int { return listenProgram(args, true) },
}

// askProgram asks the process args[1], which listens at args[0].
func askProgram(args []string) int {
	pid, err := strconv.Atoi(args[1])
	if err == nil {
		var a ask.Answer
		if a, err = ask.Process(context.Background(), args[0], pid, ask.Request{Verb: ask.Upgrade}); err == nil && a.Error == "" {
			fmt.Println("generation", a.Generation)
			return 0
		}
		if a.Error != "" {
			err = fmt.Errorf("answer: %s", a.Error)
		}
	}
	fmt.Println(err)
	return 1
}

// listenProgram listens at args[0], says so, and answers until its input ends.
func listenProgram(args []string, publish bool) int {
	l, err := control.Listen(args[0], os.Getpid())
	if err == nil && publish {
		err = l.Publish(0)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("listening")
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // the end
		os.Exit(0)
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		if _, err := c.Request(patience); err == nil {
			_ = c.Answer(ask.Answer{Generation: 5}) // the test sees if it does not come
		}
		_ = c.Close()
	}
}

// as returns the command that runs a program as the user uid.
func as(t testing.TB, uid uint32, program string, args ...string) *exec.Cmd {
	t.Helper()
	needs.Root(t, "no other user can start a program as another user")
	cmd := started(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

// started returns the command that runs a program as our own user.
func started(program string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), programVariable+"="+program, "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	return cmd
}

// listener starts a listener of the user uid and returns its pid.
func listener(t testing.TB, uid uint32, address string) int {
	t.Helper()
	return begin(t, as(t, uid, "listen", address))
}

// begin starts a listener and returns its pid.
func begin(t testing.TB, cmd *exec.Cmd) int {
	t.Helper()
	input, err := cmd.StdinPipe()
	must(t, err)
	output, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	line := make([]byte, 100)
	if n, err := output.Read(line); err != nil || string(line[:n]) != "listening\n" {
		t.Fatalf("listener: %q, %v", line[:n], err)
	}
	return cmd.Process.Pid
}

// run returns the output of an ask program.
func run(cmd *exec.Cmd) string {
	out, err := cmd.Output()
	if len(out) == 0 {
		return fmt.Sprint(err)
	}
	return strings.TrimSpace(string(out))
}

func TestAForeignUserIsRefused(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	serve(t, l, 1)
	got := run(as(t, nobody, "ask", abstract(), strconv.Itoa(os.Getpid())))
	if !strings.Contains(got, "permission denied: only root and the service's own user may ask") {
		t.Errorf("a foreign user got %q", got)
	}
	if n := answers(t, abstract()); n != 1 {
		t.Errorf("after that generation %d answers us", n)
	}
}

func TestRightsDependOnTheUsersOfBothSides(t *testing.T) {
	tests := []struct {
		name            string
		listener, asker uint32
		want            string
	}{
		{"root asks a service", nobody, 0, "generation 5"},
		{"a service's user asks it", nobody, nobody, "generation 5"},
		{"a user asks root", 0, nobody, "permission denied"},
		{"a user asks another's", nobody, another, "belongs to user 65534, neither root nor ours (65533)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := abstract() + "/" + t.Name()
			pid := listener(t, tt.listener, address)
			if got := run(as(t, tt.asker, "ask", address, strconv.Itoa(pid))); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The mode of a socket in a directory restricts access, too.
func TestASocketInADirectoryIsNotForForeignUsers(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "control-") // other users cannot enter the parent directory of t.TempDir
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	address := ask.Address(environment(dir), os.Getpid())
	l := listen(t, address, os.Getpid())
	serve(t, l, 1)
	must(t, l.Publish(0))
	got := run(as(t, nobody, "ask", address, strconv.Itoa(os.Getpid())))
	if !strings.Contains(got, "permission denied") {
		t.Errorf("a foreign user got %q", got)
	}
}

// The command runs in a pid namespace in which the listener has no pid.
func TestListenerOfAnotherPIDNamespaceIsKnownByItsUser(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "control-")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chown(dir, nobody, nobody))
	name := abstract() + "/" + t.Name()
	tests := []struct {
		name, address string
		listener      uint32
		want          string
	}{
		{"squatter", name + "1", nobody, "belongs to user 65534, neither root nor ours (0)"},
		{"root", name + "2", 0, "generation 5"},
		{"owner of the directory", dir + "/control.sock", nobody, "generation 5"},
		{"squatter in a directory", dir + "/squat.sock", another, "belongs to user 65533"},
	}
	must(t, os.Chmod(dir, 0o777))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := as(t, tt.listener, "publish", tt.address)
			pid := begin(t, cmd)
			ask := as(t, 0, "ask", tt.address, strconv.Itoa(pid))
			ask.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
			if got := run(ask); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSocketOfALiveServiceIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	address := ask.Address(environment(dir), os.Getpid())
	other := begin(t, started("publish", address))
	ours := listen(t, address, os.Getpid())
	serve(t, ours, 7)
	err := ours.Publish(0)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("belongs to process %d: two services have one RuntimeDirectory=", other)) {
		t.Errorf("Publish = %v, want it to name the other process", err)
	}
	for pid, want := range map[int]int{os.Getpid(): 7, other: 5, 0: 5} { // 0: by the name alone
		a, err := ask.Process(context.Background(), address, pid, ask.Request{Verb: ask.Upgrade})
		if err != nil || a.Generation != want {
			t.Errorf("Ask of process %d = %+v, %v, want generation %d", pid, a, err, want)
		}
	}
	must(t, ours.Publish(other)) // it is our predecessor
	must(t, ours.Close(true))
	if _, err := ask.Process(context.Background(), address, other, ask.Request{}); err == nil || !strings.Contains(err.Error(), "RuntimeDirectory=") {
		t.Errorf("Ask = %v, want it to say why the name may be gone", err)
	}
}

func TestProcessKnowsThatItListens(t *testing.T) {
	for _, address := range []string{abstract(), ask.Address(environment(t.TempDir()), os.Getpid())} {
		if control.InUse(address) {
			t.Errorf("%s is taken before Listen", address)
		}
		l := listen(t, address, os.Getpid())
		if !control.InUse(address) {
			t.Errorf("%s is not taken after Listen", address)
		}
		must(t, l.Publish(0))
		if !control.InUse(address) {
			t.Errorf("%s is not taken after Publish", address)
		}
		must(t, l.Close(true))
		if control.InUse(address) {
			t.Errorf("%s is taken after Close", address)
		}
	}
}
