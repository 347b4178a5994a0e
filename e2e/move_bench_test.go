package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manyConns is how many idle connections move.
const manyConns = 10_000

// moves are what BenchmarkMove measures.
var moves = []string{"floor", "net", "engine", "http", "http-done", "parked-done"}

// BenchmarkMove has a process of which clients keep 10,000 connections, all idle, and
// replaces it: http is how long the old process of a server of rehttp needs until the
// new one has all, and http-done until the server has ended, which has no connection
// any more then; engine is http without HTTP. Parked-done is http-done of the next upgrade,
// to which the connections have come and have said nothing. Floor is the time in which
// the kernel hands as many connections from one process to another; net is that with
// a close in the one and a net.FileConn in the other, which no Go program gets around.
// Each connection must then be answered by the new process.
//
//	go test -run '^$' -bench Move -benchtime 5x ./e2e
func BenchmarkMove(b *testing.B) {
	raiseFileLimit(b, 2*manyConns)
	least := make([]time.Duration, len(moves))
	for i := 0; b.Loop(); i++ {
		passed, made := floorTime(b, program(b, "./testdata/floor", "v1"))
		engine := moveTimes(b, program(b, "./testdata/mover", "v1"), 1)
		web := moveTimes(b, program(b, "./testdata/web", "v1"), 2)
		for j, took := range []time.Duration{passed, made, engine[0].moved, web[0].moved, web[0].done, web[1].done} {
			b.Logf("round %d: %s %v", i+1, moves[j], took)
			if i == 0 || took < least[j] {
				least[j] = took
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all the preparations
	for j, name := range moves {
		b.ReportMetric(least[j].Seconds()*1000, name+"-ms")
	}
	b.ReportMetric(least[3].Seconds()/least[0].Seconds(), "http/floor")
	b.ReportMetric(least[3].Seconds()/least[1].Seconds(), "http/net")
}

// raiseFileLimit lets this process, and those that it starts, have n descriptors.
func raiseFileLimit(t testing.TB, n uint64) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur, l.Max = max(l.Cur, n), max(l.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Skipf("%d descriptors are needed: %v", n, err)
	}
}

// floorTime measures the kernel.
func floorTime(b *testing.B, program string) (passed, made time.Duration) {
	b.Helper()
	address := ownAddress()
	cmd := exec.Command(program, "-addr", address, "-n", strconv.Itoa(manyConns))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan() // it listens
	crowd := dialMany(b, address)
	defer crowd.close()
	lines.Scan() // it has accepted all
	fmt.Fprintln(in)
	lines.Scan()
	var us [2]int
	if _, err := fmt.Sscan(lines.Text(), &us[0], &us[1]); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Duration(us[0]) * time.Microsecond, time.Duration(us[1]) * time.Microsecond
}

// A parting is how long a generation has taken to hand its connections over, and to end.
type parting struct{ moved, done time.Duration }

// moveTimes measures each upgrade of a server. Nobody asks it anything meanwhile.
func moveTimes(b *testing.B, program string, upgrades int) (all []parting) {
	b.Helper()
	a := newAlone(b, program)
	crowd := dialMany(b, a.address)
	defer crowd.close()
	crowd.ask(b, 1)
	for i := range upgrades {
		all = append(all, a.depart(i+1))
	}
	crowd.ask(b, upgrades+1)
	crowd.close()
	a.signal(syscall.SIGTERM)
	a.reap()
	return all
}

// depart replaces a generation, waits for its end and returns what it says.
func (a *alone) depart(generation int) (p parting) {
	a.Helper()
	old := a.pid
	a.hangup()
	_, err := syscall.Wait4(old, nil, 0, nil)
	for err == syscall.EINTR {
		_, err = syscall.Wait4(old, nil, 0, nil)
	}
	a.must(err)
	text, err := os.ReadFile(a.output.Name())
	a.must(err)
	drained := fmt.Sprintf(`generation %d has drained in (\d+) us, and was done after (\d+) us`, generation)
	m := regexp.MustCompile(drained).FindSubmatch(text)
	if m == nil {
		a.Fatalf("generation %d has not said when it has drained: %s", generation, text)
	}
	return parting{a.microseconds(m[1]), a.microseconds(m[2])}
}

func (a *alone) microseconds(text []byte) time.Duration {
	us, err := strconv.Atoi(string(text))
	a.must(err)
	return time.Duration(us) * time.Microsecond
}

// A crowd is connections of which each is idle.
type crowd []*member

type member struct {
	net.Conn
	in *bufio.Reader
}

func dialMany(t testing.TB, address string) crowd {
	t.Helper()
	var all crowd
	for range manyConns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &member{c, bufio.NewReaderSize(c, 512)})
	}
	return all
}

// ask has each connection answered by a generation.
func (all crowd) ask(t testing.TB, generation int) {
	t.Helper()
	want := fmt.Sprintf(" generation=%d ", generation)
	for i, m := range all {
		_ = m.SetDeadline(time.Now().Add(patience)) // fails on a dead connection, as the write does
		if _, err := io.WriteString(m, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	for i, m := range all {
		r, err := http.ReadResponse(m.in, nil)
		if err != nil {
			t.Fatalf("connection %d: no answer: %v", i, err)
		}
		line, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(line), want) || r.Close {
			t.Fatalf("connection %d: answer %q, closing %v, %v; want one with %q on a connection that stays", i, line, r.Close, err, want)
		}
	}
}

// close resets the connections: as many that wait for their last packets would be in
// the way of the next ones.
func (all crowd) close() {
	for _, m := range all {
		_ = m.Conn.(*net.TCPConn).SetLinger(0)
		_ = m.Close() // those that are closed already are fine
	}
}
