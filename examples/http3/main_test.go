//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/examples/http3/internal/load"
)

// patience bounds whatever a test waits for: it says that something hangs.
const patience = 5 * time.Minute

// serverVariable makes the test binary the program.
const serverVariable = "HTTP3_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A site is the program as started from a shell. Its generations are in a process
// group of their own.
type site struct {
	testing.TB
	ctx     context.Context
	address string
	group   int
	output  *os.File
}

func newSite(t *testing.T, args ...string) *site {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s := &site{TB: t, ctx: ctx, address: freeAddress(t)}
	// Successors outlive their parents, and become our children to be reaped.
	s.must(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	s.output, err = os.Create(filepath.Join(t.TempDir(), "output"))
	s.must(err)
	cmd := exec.Command(path, append([]string{"-addr", s.address}, args...)...)
	cmd.Env = append(os.Environ(), serverVariable+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.must(cmd.Start())
	s.group = cmd.Process.Pid
	t.Cleanup(s.end)
	s.ask() // a client asks again until somebody answers
	return s
}

// freeAddress is an address on the loopback network that is this test's own: its
// network is the process's, by its id.
func freeAddress(t *testing.T) string {
	t.Helper()
	pid := os.Getpid()
	c, err := net.ListenPacket("udp", fmt.Sprintf("127.78.%d.%d:0", pid>>8&0xff, pid&0xff))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) end() {
	_ = syscall.Kill(-s.group, syscall.SIGKILL) // all are gone by now, or the test does not need them
	for {
		if _, err := syscall.Wait4(-s.group, nil, 0, nil); err != nil && err != syscall.EINTR {
			break // ECHILD: none is left
		}
	}
	text, err := os.ReadFile(s.output.Name())
	if s.Failed() {
		s.Logf("output of the server (%v):\n%s", err, text)
	}
	s.must(s.output.Close())
}

// An answer says who gave it.
type answer struct{ generation, pid int }

// get asks for path by way of client.
func (s *site) get(client http.RoundTripper, path string) (answer, error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "https://"+s.address+path, nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := client.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	return read(resp)
}

// read reads an answer to the end.
func read(resp *http.Response) (a answer, err error) {
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		_, line, _ := strings.Cut(string(text), " ")
		_, err = fmt.Sscanf(line, "generation=%d pid=%d", &a.generation, &a.pid)
	}
	return a, err
}

// begin sends a request, and returns when it is in work.
func (s *site) begin(path string) *http.Response {
	s.Helper()
	client := load.Client(nil)
	s.Cleanup(func() { client.Close() })
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "https://"+s.address+path, nil)
	s.must(err)
	resp, err := client.RoundTrip(req)
	s.must(err)
	return resp
}

// ask asks on a new connection who serves.
func (s *site) ask() answer {
	s.Helper()
	for {
		client := load.Client(nil)
		a, err := s.get(client, "/")
		client.Close()
		if err == nil {
			return a
		}
		if s.ctx.Err() != nil {
			s.Fatal("the server does not answer: ", err)
		}
	}
}

// upgrade sends SIGHUP, and returns when the next generation answers.
func (s *site) upgrade() answer {
	s.Helper()
	before := s.ask()
	s.must(syscall.Kill(before.pid, syscall.SIGHUP))
	for s.ctx.Err() == nil {
		if now := s.ask(); now.generation == before.generation+1 {
			return now
		}
	}
	s.Fatal("no other generation answers")
	return answer{}
}

func TestUpgradesLoseNoRequest(t *testing.T) {
	const upgrades = 10
	s := newSite(t)
	ctx, stop := context.WithCancel(s.ctx)
	results := make(chan load.Result, 1)
	go func() { results <- load.Do(ctx, "https://"+s.address+"/", 6, 3, 0) }() // ends with ctx
	for i := range upgrades {
		begun := s.ask()
		slow := s.begin("/sleep?d=500ms")
		if now := s.upgrade(); now.generation != i+2 {
			t.Errorf("upgrade %d: %+v answers", i+1, now)
		}
		if a, err := read(slow); err != nil || a != begun {
			t.Errorf("a request in work on %+v was answered by %+v, %v", begun, a, err)
		}
	}
	stop()
	r := <-results
	t.Logf("%d requests by %d generations, %d connections, %d begun anew by the client", r.Requests, len(r.Generations), r.Dials, r.Unsent)
	for _, why := range r.Lost {
		t.Error("lost: ", why)
	}
	if len(r.Generations) != upgrades+1 {
		t.Errorf("answers by %v, want those of %d generations", r.Generations, upgrades+1)
	}
	s.alone()
}

// alone waits until the generations that were replaced have ended, which their
// clients have left.
func (s *site) alone() {
	s.Helper()
	for s.alive() > 1 {
		if s.ctx.Err() != nil {
			s.Fatal("a generation that was replaced does not end")
		}
		s.ask() // and does not burn a processor meanwhile
	}
	s.inTime()
}

// alive counts the generations that have not ended.
func (s *site) alive() (n int) {
	s.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	s.must(err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // after the name
		var state string
		var parent, group int
		if _, err := fmt.Sscan(rest, &state, &parent, &group); err == nil && group == s.group && state != "Z" {
			n++
		}
	}
	return n
}

// ended waits for the end of all generations.
func (s *site) ended() {
	s.Helper()
	over := make(chan error, 1)
	go func() { // ends with them
		for {
			var ws syscall.WaitStatus
			_, err := syscall.Wait4(-s.group, &ws, 0, nil)
			if err == nil && ws != 0 {
				err = fmt.Errorf("a generation ended with %#x", ws)
			}
			if err != nil && err != syscall.EINTR {
				over <- err
				return
			}
		}
	}()
	select {
	case err := <-over:
		if err != syscall.ECHILD {
			s.Error(err)
		}
	case <-s.ctx.Done():
		s.Fatal("a generation does not end")
	}
	s.inTime()
}

// inTime checks that no generation has cut a connection, or raced.
func (s *site) inTime() {
	s.Helper()
	text, err := os.ReadFile(s.output.Name())
	if err != nil || strings.Contains(string(text), "deadline") || strings.Contains(string(text), "DATA RACE") {
		s.Errorf("the server says %q, %v", text, err)
	}
}

// TestAClientOfACrashedProcessIsToldSo: whoever reads its packets next knows the
// secret, and resets the connection.
func TestAClientOfACrashedProcessIsToldSo(t *testing.T) {
	s := newSite(t)
	first := s.begin("/sleep?d=1h") // keeps the first generation
	defer first.Body.Close()
	second := s.upgrade()
	client := load.Client(nil)
	defer client.Close()
	if a, err := s.get(client, "/"); err != nil || a != second {
		t.Fatalf("%+v answers, %v; want %+v", a, err, second)
	}
	s.must(syscall.Kill(second.pid, syscall.SIGKILL))
	_, err := s.get(client, "/")
	if reset := (*quic.StatelessResetError)(nil); !errors.As(err, &reset) {
		t.Errorf("a request on the connection gets %v, want a stateless reset", err)
	}
	if a := s.ask(); a.generation != 1 {
		t.Errorf("then %+v answers, want generation 1", a)
	}
}

// TestAStopFinishesWhatIsInWork, on two generations, though no packet of a new
// connection is read any more.
func TestAStopFinishesWhatIsInWork(t *testing.T) {
	s := newSite(t)
	first, wantFirst := s.begin("/sleep?d=3s"), s.ask()
	wantSecond := s.upgrade()
	second := s.begin("/sleep?d=1s")
	s.must(syscall.Kill(-s.group, syscall.SIGTERM))
	var all sync.WaitGroup
	// At once: quic-go drops what was not read when its connection is closed.
	for resp, want := range map[*http.Response]answer{first: wantFirst, second: wantSecond} {
		all.Go(func() {
			if a, err := read(resp); err != nil || a != want {
				t.Errorf("a request in work on %+v was answered by %+v, %v", want, a, err)
			}
		})
	}
	all.Wait()
	s.ended()
}

func TestUnitsAreThoseOfTheProgram(t *testing.T) {
	files, err := daemon.Units()
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		path := filepath.Join("units", f.Name)
		if text, err := os.ReadFile(path); err != nil || string(text) != f.Text {
			t.Errorf("%s is not what `http3 units` prints: %v", path, err)
		}
	}
}

func TestRouteReadsTheFirstConnectionID(t *testing.T) {
	id := "\x01\x02\x03\x0412345678"
	tests := []struct {
		name, datagram string
		owner          uint32
	}{
		{"short header", "\x40" + id + "payload", 0x01020304},
		{"long header", "\xe0\x00\x00\x00\x01\x0c" + id + "\x00payload", 0x01020304},
		{"long header with a client's ID", "\xc0\x00\x00\x00\x01\x08" + id + "\x00payload", 0},
		{"long header, cut", "\xc0\x00\x00\x00\x01\x0c" + id[:11], 0},
		{"short header, cut", "\x40" + id[:11], 0},
		{"too short", "\xc0\x00\x00\x00\x01", 0},
		{"empty", "", 0},
	}
	for _, tt := range tests {
		if got := route([]byte(tt.datagram), netip.AddrPort{}); got != tt.owner {
			t.Errorf("%s: owner %#x, want %#x", tt.name, got, tt.owner)
		}
	}
	made, err := ids(0x01020304).GenerateConnectionID()
	if err != nil || made.Len() != idLen || route(append([]byte{0x40}, made.Bytes()...), netip.AddrPort{}) != 0x01020304 {
		t.Errorf("made %v, %v", made, err)
	}
}
