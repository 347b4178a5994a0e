package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// chaosTimeout is when a request is lost. One that is late by less is not: the steps
// stop processes, and other programs share the processors.
const chaosTimeout = 25 * time.Second

// chaosClasses are the load by HTTP and WebSocket. It is light: the steps are many.
func chaosClasses(roots *x509.CertPool) []load.Class {
	const secure = "127.0.0.1:8443"
	trust := &tls.Config{RootCAs: roots, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(64)}
	large := make([]byte, 128<<10)
	classes := []load.Class{
		{Name: "kept", Rate: 40, Conns: 8, Body: []byte("kept")},
		{Name: "new", Rate: 20, Body: []byte("new")},
		{Name: "idle", Rate: 2, Conns: 20, Ahead: true, Body: []byte("idle")},
		{Name: "pipelined", Rate: 24, Conns: 4, Pipeline: 4, Body: []byte("pipelined")},
		{Name: "upload", Rate: 1, Conns: 4, Body: large, Slowly: 2 * time.Second},
		{Name: "download", Rate: 1, Conns: 4, Method: "GET", Path: fmt.Sprintf("/pattern?bytes=%d", len(large)), Answer: int64(len(large)), Slowly: 2 * time.Second},
		{Name: "stream", Rate: 1, Method: "GET", Path: fmt.Sprintf("/stream?d=1500ms&bytes=%d", len(large)), Answer: int64(len(large))},
		{Name: "tls", Rate: 10, Conns: 4, Addr: secure, TLS: trust, Body: []byte("tls")},
		{Name: "tls-new", Rate: 4, Addr: secure, TLS: trust, Body: []byte("tls-new")},
		{Name: "http2", Rate: 20, Conns: 2, Protocol: load.HTTP2, Addr: secure, TLS: trust, Body: []byte("http2")},
		{Name: "websocket", Rate: 1, Protocol: load.WebSocket, Path: "/echo", Body: []byte("message"), Slowly: 2 * time.Second},
	}
	for i := range classes {
		classes[i].Numbered, classes[i].Timeout = true, chaosTimeout
	}
	return classes
}

// chaosFailureList collects the failures of all clients.
type chaosFailureList struct {
	mu  sync.Mutex
	all []load.Failure
}

func (l *chaosFailureList) add(f load.Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, f)
}

func (l *chaosFailureList) take() []load.Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// chaosClients are the load of all protocols.
type chaosClients struct {
	site     *chaosSite
	run      *load.Run
	halt     context.CancelFunc
	own      sync.WaitGroup // sessions and packets
	sessions atomic.Int64   // lines that were answered
	packets  atomic.Int64
}

// startClients returns when each client has its connections.
func (c *chaosSite) startClients(roots *x509.CertPool) *chaosClients {
	c.Helper()
	ctx, halt := context.WithCancel(c.ctx)
	k := &chaosClients{site: c, halt: halt}
	c.Cleanup(halt)
	k.run = load.Start(c.ctx, load.Config{
		Addr: c.address, Dial: c.dial, Classes: chaosClasses(roots), Limit: *chaosTime + chaosEnd, Failed: c.failures.add,
	})
	for n := range 10 {
		k.own.Go(func() { k.session(ctx, n) }) // all end with ctx; stop waits
	}
	k.own.Go(func() { k.sendPackets(ctx) })
	<-k.run.Opened()
	return k
}

// stop ends the load, once all requests are answered or lost.
func (k *chaosClients) stop() {
	k.halt()
	k.own.Wait()
	k.run.Stop()
}

func (k *chaosClients) answered() int {
	return k.run.Report().Total().Answered + int(k.sessions.Load()+k.packets.Load())
}

func (k *chaosClients) String() string {
	return fmt.Sprintf("%v\nsessions: %d lines answered; packets: %d answered", k.run.Report(), k.sessions.Load(), k.packets.Load())
}

// fail enters the failure of a request that is not one of package load.
func (k *chaosClients) fail(f load.Failure) {
	f.At = time.Now()
	k.site.failures.add(f)
}

// field returns the value of a field such as id=7 of an answer.
func field(line, name string) string {
	for f := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(f, name+"="); ok {
			return value
		}
	}
	return ""
}
