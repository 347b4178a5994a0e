package e2e

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// excuse is a reason for which a request may fail.
type excuse struct {
	reason   string
	from, to time.Time // to is zero while it lasts
	covers   func(*excuse, load.Failure) bool
	sockets  map[string]bool // addresses of clients whose connections died
	accepts  bool            // the process may have accepted others before it died
	pids     []int           // the processes that died
	executor string          // the process that has executed the request, while it is looked at
}

// during reports whether f was under way between from and to.
func (e *excuse) during(f load.Failure) bool {
	return !f.At.Before(e.from) && (e.to.IsZero() || !f.Due.After(e.to))
}

// everything covers each request during a shortage, or while the service is stopped.
func everything(e *excuse, f load.Failure) bool { return e.during(f) }

// killedConnection covers the connections that a process had at its death, and the
// datagrams that it has read, as far as it could note them.
func killedConnection(e *excuse, f load.Failure) bool {
	if f.Class == packetClass {
		pid, err := strconv.Atoi(e.executor)
		return f.Kind == load.Timeout && e.during(f) && (err != nil || slices.Contains(e.pids, pid))
	}
	before := e.to.IsZero() || f.Opened.Before(e.to)
	return before && !f.At.Before(e.from) && (e.sockets[f.Local] || e.accepts && f.Opened.After(e.from))
}

// sessionRace is the time before the stop of a process in which a line of a session may
// stay unread: the server ends sessions between two lines.
const sessionRace = 500 * time.Millisecond

// freshGrace is the time that a stopping process gives a new connection for its first
// request. A client that waits for a processor may need more.
const freshGrace = time.Second

// keptAtStop covers a request that its client writes to a connection which a stopping
// process closes: a race that HTTP/1.1 leaves to the client. An answer that has begun,
// and a request that was written before the stop, are not covered. A request that
// comes too late on a new connection is covered.
func keptAtStop(e *excuse, f load.Failure) bool {
	if f.Kind == load.Unserved { // with the answer before it, which says close
		return e.during(f)
	}
	if !f.Reused && f.Class != sessionClass {
		return e.during(f) && comesLate(f)
	}
	written := f.Written
	if f.Class == sessionClass {
		written = written.Add(sessionRace)
	}
	raced := f.Kind == load.Reset || f.Kind == load.NoAnswer
	return raced && f.Reused && e.during(f) && written.After(e.from) && (e.to.IsZero() || f.Opened.Before(e.to))
}

// comesLate reports whether f, the first request of its connection, was written after the
// freshGrace of the connection. The client may notice late that the connection is open.
func comesLate(f load.Failure) bool {
	written := f.Written
	if written.IsZero() { // it could not be written any more
		written = f.At
	}
	unanswered := f.Kind == load.Reset || f.Kind == load.NoAnswer || f.Kind == load.Handshake
	return unanswered && written.Sub(f.Due) >= freshGrace
}

// excuses are all of a run, with the number of requests that each has covered.
type excuses struct {
	mu    sync.Mutex
	all   []*excuse
	count map[string]map[string]int // by reason and class

	executor func(id string) string // the process that has executed a request, empty for none
}

func (x *excuses) add(e *excuse) *excuse {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, e)
	return e
}

// begin adds an excuse that lasts until over is called.
func (x *excuses) begin(reason string, covers func(*excuse, load.Failure) bool) *excuse {
	return x.add(&excuse{reason: reason, from: time.Now(), covers: covers})
}

// over ends e.
func (x *excuses) over(e *excuse) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.to = time.Now()
}

// withdraw takes e back: its reason has not come about.
func (x *excuses) withdraw(e *excuse) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = slices.DeleteFunc(x.all, func(other *excuse) bool { return other == e })
}

// behindTheLast is the reason for pipelined requests during any of the others.
const behindTheLast = "pipelined behind the last answer of a process that stops or covers"

// cover reports whether f is excused, and counts it.
func (x *excuses) cover(f load.Failure) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.all {
		e.executor = x.executor(f.ID)
		if e.covers(e, f) {
			reason := e.reason
			if f.Kind == load.Unserved {
				reason = behindTheLast
			}
			if x.count == nil {
				x.count = map[string]map[string]int{}
			}
			if x.count[reason] == nil {
				x.count[reason] = map[string]int{}
			}
			x.count[reason][f.Class]++
			return true
		}
	}
	return false
}

func (x *excuses) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var lines []string
	for _, reason := range slices.Sorted(maps.Keys(x.count)) {
		sum, classes := 0, x.count[reason]
		var each []string
		for _, class := range slices.Sorted(maps.Keys(classes)) {
			sum += classes[class]
			each = append(each, fmt.Sprintf("%s %d", class, classes[class]))
		}
		lines = append(lines, fmt.Sprintf("%6d  %s: %s", sum, reason, strings.Join(each, ", ")))
	}
	if len(lines) == 0 {
		return "  none"
	}
	return strings.Join(lines, "\n")
}

// tcpStates are the states, in /proc/net/tcp, of a connection that a client may have written
// to. The last of a handshake may not have been processed on a busy machine when connect(2)
// has already returned: the connection is in SYN_RECV then.
var tcpStates = []string{"01", "03", "08"} // ESTABLISHED, SYN_RECV, CLOSE_WAIT

// serverSockets reads a table like /proc/net/tcp. It returns the clients' addresses by
// the names that the accepted sockets have below /proc/PID/fd, and those of the clients
// that wait to be accepted.
func serverSockets(table string) (accepted map[string]string, queued []string) {
	accepted = map[string]string{}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || !slices.Contains(tcpStates, fields[3]) || !slices.Contains(chaosPorts, hexAddress(fields[1])) {
			continue
		}
		if client := hexAddress(fields[2]); fields[9] == "0" {
			queued = append(queued, client)
		} else {
			accepted["socket:["+fields[9]+"]"] = client
		}
	}
	return accepted, queued
}

var hexPort = regexp.MustCompile(`^0100007F:([0-9A-F]{4})$`)

// hexAddress returns an address of the loopback interface as package net writes it.
func hexAddress(text string) string {
	m := hexPort.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	port, _ := strconv.ParseUint(m[1], 16, 16) // matched
	return net.JoinHostPort("127.0.0.1", strconv.FormatUint(port, 10))
}
