//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/examples/websocket/internal/load"
)

const unit = "cutover-websocket.service"

// patience bounds whatever a test waits for: it says that something hangs.
const patience = 2 * time.Minute

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) {
	upgradetest.Init()
	if os.Getenv("EXAMPLE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A site is the server with its units, supervised as systemd would.
type site struct {
	testing.TB
	*upgradetest.Manager
	ctx  context.Context
	addr string
}

func newSite(t *testing.T, args ...string) *site {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	m, err := upgradetest.NewManager(upgradetest.Options{Env: []string{"EXAMPLE=1", "GORACE=atexit_sleep_ms=0"}})
	s := &site{t, m, ctx, ""}
	s.must(err)
	t.Cleanup(s.end)
	files, err := daemon().Units()
	s.must(err)
	for _, f := range files {
		s.must(m.Install(ctx, f.Name, f.Text))
	}
	program, err := os.Executable()
	s.must(err)
	s.must(m.Install(ctx, "cutover-websocket.socket.d/test.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:0\n"))
	s.must(m.Install(ctx, unit+".d/test.conf", fmt.Sprintf("[Service]\nExecStart=\nExecStart=%s %s\nExecReload=\nExecReload=%[1]s reload\n",
		program, strings.Join(args, " "))))
	s.must(m.Start(ctx, unit))
	listen, err := m.Show(ctx, "cutover-websocket.socket", "Listen")
	s.must(err)
	s.addr, _, _ = strings.Cut(listen, " ")
	return s
}

func (s *site) end() {
	if s.Failed() {
		text, err := s.Manager.Log(context.Background(), unit)
		s.Logf("journal (%v):\n%s", err, text)
	}
	if err := s.Close(); err != nil {
		s.Error(err)
	}
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// counts is what the process says that serves.
func (s *site) counts() (generation, hijacked int) {
	s.Helper()
	r, err := http.Get("http://" + s.addr + "/counts")
	s.must(err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	s.must(err)
	_, err = fmt.Sscanf(string(text), "generation=%d hijacked=%d", &generation, &hijacked)
	s.must(err)
	return generation, hijacked
}

// awaitClients waits until generation serves n.
func (s *site) awaitClients(generation, n int) {
	s.Helper()
	for {
		s.must(s.ctx.Err())
		g, hijacked := s.counts()
		if g == generation && hijacked == n {
			return
		}
	}
}

func TestClientsComeToTheNextGeneration(t *testing.T) {
	s := newSite(t)
	stop, reports := make(chan struct{}), make(chan load.Report, 1)
	const clients, upgrades = 8, 10
	go func() { // ends with stop
		reports <- load.Run(stop, load.Config{URL: "ws://" + s.addr + "/", Clients: clients, Rate: 50})
	}()
	s.awaitClients(1, clients)
	for i := range upgrades {
		s.must(s.Reload(s.ctx, unit))
		s.awaitClients(i+2, clients)
	}
	close(stop)
	r := <-reports
	t.Log(r)
	if r.Answered != r.Sent || r.Sent == 0 || r.Goodbyes != clients*upgrades || len(r.First) > 0 {
		t.Errorf("want all answered, and %d goodbyes", clients*upgrades)
	}
}

// TestAClientThatStaysIsCut: at the drain deadline, and named.
func TestAClientThatStaysIsCut(t *testing.T) {
	s := newSite(t, "-drain", "500ms")
	c, _, err := websocket.Dial(s.ctx, "ws://"+s.addr+"/", nil)
	s.must(err)
	defer c.CloseNow()
	s.awaitClients(1, 1)
	s.must(s.Reload(s.ctx, unit))
	if _, text, err := c.Read(s.ctx); err != nil || string(text) != goodbye {
		t.Errorf("the client is told %q, %v", text, err)
	}
	if _, text, err := c.Read(s.ctx); err == nil {
		t.Errorf("the client gets %q", text)
	}
	for {
		s.must(s.ctx.Err())
		text, err := s.Manager.Log(s.ctx, unit)
		s.must(err)
		if strings.Contains(text, "1 hijacked connections") {
			return
		}
	}
}
