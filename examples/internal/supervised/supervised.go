// Package supervised runs the examples that are modules under upgradetest in their
// tests, with their units, on free ports.
package supervised

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/units"
)

// Patience bounds whatever a test waits for: it says that something hangs.
const Patience = 5 * time.Minute

// serving is in the environment of a process that is the server.
const serving = "EXAMPLE"

// Main is TestMain: the test's binary is the server, too, which main runs.
func Main(m *testing.M, main func()) {
	upgradetest.Init()
	if os.Getenv(serving) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A Service runs until its test ends.
type Service struct {
	testing.TB
	*upgradetest.Manager
	Ctx  context.Context // ends with the test's patience
	Unit string          // the service
}

// New starts the service that d describes, as the test's own binary with args.
func New(t testing.TB, d units.Daemon, args ...string) *Service {
	t.Helper()
	return NewOn(t, 0, d, args...)
}

// NewOn is New for a major version of systemd. 0 is the default of package upgradetest.
func NewOn(t testing.TB, version int, d units.Daemon, args ...string) *Service {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	m, err := upgradetest.NewManager(upgradetest.Options{Version: version, Env: []string{serving + "=1", "GORACE=atexit_sleep_ms=0"}})
	s := &Service{t, m, ctx, d.Name + ".service"}
	s.Must(err)
	t.Cleanup(s.end)
	files, err := d.Units()
	s.Must(err)
	for _, f := range files {
		s.Must(m.Install(ctx, f.Name, f.Text))
		if path.Ext(f.Name) == ".socket" {
			s.Must(m.Install(ctx, f.Name+".d/test.conf", "[Socket]\n"+freePorts(f.Text)))
		}
	}
	program, err := os.Executable()
	s.Must(err)
	s.Must(m.Install(ctx, s.Unit+".d/test.conf", fmt.Sprintf("[Service]\nExecStart=\nExecStart=%s %s\nExecReload=\nExecReload=%[1]s reload\n",
		program, strings.Join(args, " "))))
	s.Must(m.Start(ctx, s.Unit))
	return s
}

// freePorts returns the assignments that have the sockets of a unit listen on ports
// that are free.
func freePorts(socket string) (text string) {
	for line := range strings.Lines(socket) {
		if name, _, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "Listen") {
			text += name + "=\n" + name + "=127.0.0.1:0\n"
		}
	}
	return text
}

// Address returns where a socket unit listens.
func (s *Service) Address(socket string) string {
	s.Helper()
	listen, err := s.Show(s.Ctx, socket, "Listen")
	s.Must(err)
	address, _, _ := strings.Cut(listen, " ")
	return address
}

func (s *Service) end() {
	if s.Failed() {
		text, err := s.Manager.Log(context.Background(), s.Unit)
		s.Logf("journal (%v):\n%s", err, text)
	}
	if err := s.Close(); err != nil {
		s.Error(err)
	}
}

// Must ends the test if err is not nil.
func (s *Service) Must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}
