//go:build linux

package rehttp3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/reexec"
)

// patience limits each wait of a test. A test that waits longer hangs.
const patience = 5 * time.Minute

// addressVariable makes the test binary a server at this address.
const addressVariable = "REHTTP3_TEST_ADDRESS"

func TestMain(m *testing.M) {
	if address := os.Getenv(addressVariable); address != "" {
		os.Exit(serverMain(address))
	}
	os.Exit(m.Run())
}

// serverMain is the program of the tests. It names the process that answers.
func serverMain(address string) int {
	c, err := selfSigned()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	line := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "generation=%d pid=%d\n", Upgrader(r.Context()).Generation(), os.Getpid())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", line)
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush() // the client sees that the request is in work
		d, _ := time.ParseDuration(r.URL.Query().Get("d"))
		time.Sleep(d)
		line(w, r)
	})
	return reexec.Main(reexec.Options{}, Service("quic", address, &http3.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{c}}}))
}

// newClient returns a client that trusts every server. With the default timeout of 5 seconds
// a client without processor time would fail the test.
func newClient() *http3.Transport {
	return &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate of selfSigned
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: 30 * time.Second, KeepAlivePeriod: 10 * time.Second},
	}
}

// site is the program, started as from a shell. Its generations are one process group.
type site struct {
	testing.TB
	ctx     context.Context
	address string
	group   int
	output  *os.File
}

func newSite(t *testing.T) *site {
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
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), addressVariable+"="+s.address, "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.must(cmd.Start())
	s.group = cmd.Process.Pid
	t.Cleanup(s.end)
	s.ask() // returns when the server answers
	return s
}

// freeAddress returns an address on the loopback network. The pid is in it, so that no other
// test uses it.
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
	_ = syscall.Kill(-s.group, syscall.SIGKILL) // it fails if all have ended
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

// answer describes the process that has answered.
type answer struct{ generation, pid int }

// get asks for path with client.
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
		_, err = fmt.Sscanf(string(text), "generation=%d pid=%d", &a.generation, &a.pid)
	}
	return a, err
}

// begin sends a request on a new connection, and returns when it is in work.
func (s *site) begin(path string) *http.Response {
	s.Helper()
	client := newClient()
	s.Cleanup(func() { client.Close() })
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "https://"+s.address+path, nil)
	s.must(err)
	resp, err := client.RoundTrip(req)
	s.must(err)
	return resp
}

// ask asks on new connections until the server answers.
func (s *site) ask() answer {
	s.Helper()
	for {
		client := newClient()
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

// inTime checks that no generation has cut a request, or has a data race.
func (s *site) inTime() {
	s.Helper()
	text, err := os.ReadFile(s.output.Name())
	if err != nil || strings.Contains(string(text), "deadline") || strings.Contains(string(text), "DATA RACE") {
		s.Errorf("the server says %q, %v", text, err)
	}
}

// The process that reads the packets next knows the key of stateless resets.
func TestAConnectionOfACrashedProcessIsReset(t *testing.T) {
	s := newSite(t)
	first := s.begin("/sleep?d=1h") // keeps the first generation
	defer first.Body.Close()
	second := s.upgrade()
	client := newClient()
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

// Two generations have a request in work. No process reads the packets of new connections.
func TestAStopAnswersRequestsInWork(t *testing.T) {
	s := newSite(t)
	first, wantFirst := s.begin("/sleep?d=3s"), s.ask()
	wantSecond := s.upgrade()
	second := s.begin("/sleep?d=1s")
	s.must(syscall.Kill(-s.group, syscall.SIGTERM))
	var all sync.WaitGroup
	// Concurrently: quic-go drops unread data when the connection is closed.
	for resp, want := range map[*http.Response]answer{first: wantFirst, second: wantSecond} {
		all.Go(func() {
			if a, err := read(resp); err != nil || a != want {
				t.Errorf("%+v answers the request in work, %v; want %+v", a, err, want)
			}
		})
	}
	all.Wait()
	s.ended()
}
