// Command impostor is a compromised service: it starts like another one, and then attacks
// the reload command in the way that its argument names.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/cutover-go/cutover/notify"
)

// lies is a hostile answer: terminal sequences, and a line with a priority for the journal.
const lies = `{"error":"reexec: start: \u001b]0;owned\u0007\u001b[2J\u202etxt\n<0>disk failure, run rm -rf /","generation":2}`

func main() {
	if err := attack(os.Args[1], filepath.Join(os.Getenv("RUNTIME_DIRECTORY"), "control.sock")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func attack(how, path string) error {
	switch how {
	case "listen": // as another service, at the path that follows
		return answer(os.Args[2], `{"generation":9}`)
	case "link":
		if err := os.Symlink(os.Args[2], path); err != nil {
			return err
		}
		return serve(nil)
	case "child":
		child := exec.Command("/proc/self/exe", "listen", path)
		child.Stderr = os.Stderr
		child.Env = []string{}
		if err := child.Start(); err != nil {
			return err
		}
		defer child.Process.Kill()
		return serve(nil)
	case "lie":
		return answer(path, lies)
	case "hang":
		l, err := listen(path)
		if err != nil {
			return err
		}
		return serve(l)
	}
	return fmt.Errorf("no attack %q", how)
}

func listen(path string) (*net.UnixListener, error) {
	return net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
}

// serve says that the service is ready and accepts without an answer.
func serve(l *net.UnixListener) error {
	if err := ready(); err != nil {
		return err
	}
	for l != nil {
		if _, err := l.AcceptUnix(); err != nil {
			return err
		}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	return nil
}

// answer answers each request with text, and says that it was asked.
func answer(path, text string) error {
	l, err := listen(path)
	if err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "connected")
		if n, _ := c.Read(make([]byte, 1<<10)); n > 0 { // 0 at the end
			fmt.Fprintln(os.Stderr, "asked")
			_, _ = c.Write([]byte(text)) // the test sees if it does not come
		}
		_ = c.Close()
	}
}

func ready() error {
	n, err := notify.New()
	if err != nil {
		return err
	}
	return n.Send(context.Background(), notify.Ready)
}
