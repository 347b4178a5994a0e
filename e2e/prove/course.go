package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/progress"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// aim returns the load for the address, once that has answered. Its status then is the
// only one that is no failure.
func aim(ctx context.Context, o order) ([]load.Class, error) {
	u, err := url.Parse(o.address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("-address %s: want http://HOST:PORT/PATH or https://HOST:PORT/PATH", o.address)
	}
	status, err := ask(ctx, o.address)
	if err != nil {
		return nil, err
	}
	addr, config := u.Host, (*tls.Config)(nil)
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	if u.Scheme == "https" {
		config = &tls.Config{ServerName: u.Hostname()}
	}
	both := []load.Class{{Name: "kept connections", Conns: 16}, {Name: "new connections"}}
	for i := range both {
		both[i].Addr, both[i].TLS, both[i].Method, both[i].Path, both[i].Status = addr, config, http.MethodGet, u.RequestURI(), status
		both[i].Rate, both[i].MaxPending = o.rate, 1<<14
	}
	return both, nil
}

// ask returns the status of an answer.
func ask(ctx context.Context, address string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, load.DefaultTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(q)
	if err != nil {
		return 0, fmt.Errorf("the service does not answer: %w", err)
	}
	defer client.CloseIdleConnections()
	return resp.StatusCode, resp.Body.Close()
}

// A course is the reloads of a service under load.
type course struct {
	order
	service service
	bar     io.Writer
	record  *recorder.Recorder
	same    int // reloads that left the main process as it was
}

// follow puts the load on the service and reloads it.
func (c *course) follow(ctx context.Context, classes []load.Class) error {
	c.record = recorder.New(c.service.unit, manager(ctx), classes)
	run := load.Start(ctx, load.Config{Classes: classes, Settled: c.record.Settled, Limit: 24 * time.Hour})
	defer run.Stop()
	watching, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { c.record.Watch(watching, recorder.Host) }) // ends with cancel
	watch.Go(func() { c.show(watching) })                        // as well
	defer watch.Wait()
	defer cancel()
	if err := pass(ctx, c.window); err != nil {
		return err
	}
	for range c.reloads {
		if err := c.reload(ctx); err != nil {
			return err
		}
		if err := pass(ctx, c.window); err != nil {
			return err
		}
	}
	run.Stop()
	return nil
}

// reload reloads the service once. A reload that fails is an event as well.
func (c *course) reload(ctx context.Context) error {
	before, err := c.service.pid(ctx)
	if err != nil {
		return err
	}
	c.record.Process(before)
	e := record.Event{Kind: record.Reload, At: c.record.Now(), Before: before}
	if err := c.service.reload(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.Error = err.Error()
	}
	e.Done = c.record.Now()
	if e.After, err = c.service.pid(ctx); err != nil {
		return err
	}
	if e.Error == "" && e.After == before {
		c.same++
	}
	c.record.Process(e.After)
	c.record.Event(e)
	return nil
}

// show draws the progress until ctx ends.
func (c *course) show(ctx context.Context) {
	bar := progress.On(c.bar)
	defer bar.Clear()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	whole := time.Duration(c.reloads+1) * c.window
	for {
		select {
		case <-tick.C:
			requests, lost := c.record.Count()
			bar.Show(min(c.record.Now().Seconds()/whole.Seconds(), 0.99), fmt.Sprintf("%d requests, %d lost", requests, lost))
		case <-ctx.Done():
			return
		}
	}
}

// manager returns the version of systemd.
func manager(ctx context.Context) string {
	text, _ := exec.CommandContext(ctx, "systemctl", "--version").Output() // it is only shown
	fields := strings.Fields(string(text))                                 // "systemd 252 (252.39-1~deb12u1)"
	return strings.Join(fields[:min(2, len(fields))], " ")
}

// pass lets the load go on.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
