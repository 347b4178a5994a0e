package losses

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
)

// A rig puts servers on its stage and measures them.
type rig struct {
	plan
	stage     stage
	dir       string
	cert, key []byte
	trust     *tls.Config
	body      []byte             // of the uploads
	record    *recorder.Recorder // of the server that is measured now
}

// A result holds the measurements of one server.
type result struct {
	rows  []row
	short row     // the sum of those that take no time by intention
	busy  float64 // part of the machine's processor time, without upgrades

	upgrading, steady, beside time.Duration // p99.9 of the short requests in the typical window
}

// measure starts a server, at two ports, and upgrades it under load.
func (r *rig) measure(ctx context.Context, program string, port int) (res result, err error) {
	s, err := r.prepare(ctx, program, port)
	if err != nil {
		return res, err
	}
	if err := r.stage.start(ctx, s); err != nil {
		return res, errors.Join(err, errors.New(r.stage.log(ctx, s)))
	}
	defer func() { err = errors.Join(err, r.stage.stop(ctx, s)) }()
	pid, err := r.server(ctx, s)
	if err != nil {
		return res, err
	}
	fmt.Fprintf(r.log, "%s under %s: %d upgrades\n", program, r.stage.name(), r.upgrades)
	specs := r.classes(s)
	r.record = recorder.New("measure losses: "+program, r.stage.name(), specs)
	run := load.Start(ctx, load.Config{Dial: r.stage.DialContext, Classes: specs, Limit: time.Hour, Settled: r.settled()})
	defer run.Stop()
	defer r.watch(ctx)()
	select {
	case <-run.Opened():
	case <-ctx.Done():
		return res, context.Cause(ctx)
	}
	c := course{rig: r, server: s, specs: specs, run: run, pid: pid}
	if r.beside && program == "web" {
		if c.bystander, err = r.bystand(ctx, s, port+2); err != nil {
			return res, err
		}
		defer func() { err = errors.Join(err, r.stage.stop(ctx, c.bystander)) }()
	}
	if err := c.follow(ctx); err != nil {
		return res, errors.Join(err, errors.New(r.stage.log(ctx, s)))
	}
	if all := run.Stop(); r.detail {
		fmt.Fprint(r.log, all)
	}
	return c.result(), r.ended(ctx, s)
}

// settled returns the function that records a request, nil if there is no report.
func (r *rig) settled() func(load.Result) {
	if r.report == "" {
		return nil
	}
	return r.record.Settled
}

// watch has the processes watched until the returned function is called.
func (r *rig) watch(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { r.record.Watch(ctx, r.stage.proc) }) // ends with cancel; end waits
	return func() { cancel(); watch.Wait() }
}

// ended waits until each replaced process has said that it is done: it has no connection
// any more. The recipe's server does not say it.
func (r *rig) ended(ctx context.Context, s server) error {
	if s.name != "web" {
		return nil
	}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		n := strings.Count(r.stage.log(ctx, s), "has drained in")
		if n == r.upgrades {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("%d of %d processes that were replaced are done", n, r.upgrades)
		}
	}
}

func (r *rig) prepare(ctx context.Context, program string, port int) (s server, err error) {
	at := func(port int) string { return net.JoinHostPort(r.stage.host(), strconv.Itoa(port)) }
	s = server{name: program, plain: at(port), secure: at(port + 1), unit: "NotifyAccess=all\n", reload: "/bin/kill -HUP $MAINPID"}
	if s.path, err = r.build(ctx, "e2e/testdata/"+program); err != nil {
		return s, err
	}
	if program == "web" {
		command, err := r.build(ctx, "reexec/cmd/cutover-reload")
		if err != nil {
			return s, err
		}
		s.unit, s.reload = "NotifyAccess=main\n", "+"+command // as sdunits writes it
	}
	cert, err := r.stage.put("cert.pem", r.cert, 0o644)
	if err != nil {
		return s, err
	}
	key, err := r.stage.put("key.pem", r.key, 0o644)
	s.args = []string{"-addr", s.plain, "-tls", s.secure, "-cert", cert, "-key", key, "-drain", drain}
	return s, err
}

// bystand starts the program of s once more, at a port that no client uses.
func (r *rig) bystand(ctx context.Context, s server, port int) (server, error) {
	addr := net.JoinHostPort(r.stage.host(), strconv.Itoa(port))
	b := server{name: "bystander", path: s.path, args: []string{"-bare", "-addr", addr}, unit: "Type=exec\n", reload: "/bin/true"}
	return b, r.stage.start(ctx, b)
}

// server returns the process that answers on a new connection, when one does: one that
// is alone binds for itself, and the recipe loses our requests as those of others.
func (r *rig) server(ctx context.Context, s server) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: r.stage.DialContext, DisableKeepAlives: true}}
	for {
		if pid, err = ask(ctx, &client, s.plain); err == nil || ctx.Err() != nil {
			return pid, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ask(ctx context.Context, client *http.Client, addr string) (pid int, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	line, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	var version string
	var generation int
	_, err = fmt.Sscanf(string(line), "version=%s generation=%d pid=%d", &version, &generation, &pid)
	return pid, err
}
