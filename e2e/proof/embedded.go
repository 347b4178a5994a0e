package proof

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/e2e/internal/files"
	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// An embedded stage is the manager of package upgradetest. The daemon runs in the host's
// network, so its sockets get free ports, and in a folder that needs no privileges.
type embedded struct {
	*upgradetest.Manager
	dir string

	mu    sync.Mutex
	ports map[string]string // address in the unit to address of the socket
}

func newEmbedded(dir string) (*embedded, error) {
	m, err := upgradetest.NewManager(upgradetest.Options{})
	if err != nil {
		return nil, err
	}
	return &embedded{Manager: m, dir: filepath.Join(dir, "root"), ports: map[string]string{}}, nil
}

func (e *embedded) name() string { return "embedded manager" }

var (
	numericListen = regexp.MustCompile(`(?m)^(ListenStream|ListenDatagram)=(.*:)?([0-9]+)[ \t]*$`)
	identity      = regexp.MustCompile(`(?m)^(User|Group|SupplementaryGroups|DynamicUser)=.*$`)
	programs      = regexp.MustCompile(`(?m)^(Exec[A-Za-z]+=[-@:+!|]*)(/[^ \n]*)`)
)

// adapt moves the programs below the folder of the stage, has the kernel choose ports, and
// leaves out users, which the manager cannot change.
func (e *embedded) adapt(unit, text string) string {
	text = identity.ReplaceAllString(text, "# not here: $0")
	text = programs.ReplaceAllStringFunc(text, func(line string) string {
		m := programs.FindStringSubmatch(line)
		if _, err := os.Stat(e.path(m[2])); err != nil {
			return line // a program of the host
		}
		return m[1] + e.path(m[2])
	})
	return numericListen.ReplaceAllStringFunc(text, func(line string) string {
		m := numericListen.FindStringSubmatch(line)
		host := strings.TrimSuffix(m[2], ":")
		if host == "" {
			host = "127.0.0.1"
		}
		return m[1] + "=" + host + ":0"
	})
}

func (e *embedded) path(program string) string { return filepath.Join(e.dir, program) }

func (e *embedded) put(hostPath, path string) error {
	f, err := os.Open(hostPath)
	if err != nil {
		return err
	}
	defer f.Close()
	return files.Replace(path, f, 0o755)
}

func (e *embedded) write(path string, data []byte, mode os.FileMode) error {
	return files.Replace(path, strings.NewReader(string(data)), mode)
}

func (e *embedded) user(context.Context, string) error { return nil }

func (e *embedded) has(_ context.Context, path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

func (e *embedded) resetFailed(context.Context, string) {}

func (e *embedded) HostPID(pid int) (int, error) { return pid, nil }

func (e *embedded) Signal(pid int, sig syscall.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return errors.Join(p.Signal(sig), p.Release())
}

// members returns the processes that execute a file of the stage's folder.
func (e *embedded) members(int) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is well-formed
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(to, e.dir+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listen remembers which port the kernel has chosen for each socket.
func (e *embedded) listen(ctx context.Context, listens []setting) error {
	chosen := map[string][]string{} // by unit and kind
	for _, s := range listens {
		unit := path.Base(s.file.Name)
		if dir := path.Dir(s.file.Name); dir != "." {
			unit = strings.TrimSuffix(dir, ".d") // a drop-in
		}
		key := unit + " " + s.key
		if _, asked := chosen[key]; !asked {
			text, err := e.Show(ctx, unit, "Listen")
			if err != nil {
				return err
			}
			chosen[key] = addresses(text, strings.TrimPrefix(s.key, "Listen"))
		}
		if len(chosen[key]) == 0 {
			return fmt.Errorf("%s: no address of %v is known", unit, s)
		}
		e.mu.Lock()
		e.ports[s.key+":"+s.value[strings.LastIndex(s.value, ":")+1:]] = chosen[key][0]
		e.mu.Unlock()
		chosen[key] = chosen[key][1:]
	}
	return nil
}

// addresses returns those of lines such as "127.0.0.1:41873 (Stream)" that have the kind.
func addresses(text, kind string) (all []string) {
	for line := range strings.Lines(text) {
		if address, ok := strings.CutSuffix(strings.TrimSpace(line), " ("+kind+")"); ok {
			all = append(all, address)
		}
	}
	return all
}

func (e *embedded) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if _, port, err := net.SplitHostPort(address); err == nil {
		key := "ListenStream:" + port
		if strings.HasPrefix(network, "udp") {
			key = "ListenDatagram:" + port
		}
		e.mu.Lock()
		if to, ok := e.ports[key]; ok {
			address = to
		}
		e.mu.Unlock()
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
