//go:build linux

package reexec_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// web is an HTTP server that answers with its pid, as a service called name.
func (a *actor) web(name string) reexec.Service {
	srv := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) }),
		BaseContext: func(ln net.Listener) context.Context { a.knows(name, ln); return context.Background() },
	}
	return rehttp.Service(name, anywhere, srv)
}

// get returns the pid of the process that answers on the client's only connection.
func (s *scene) get(client *http.Client, address string) string {
	s.Helper()
	r, err := client.Get("http://" + address)
	s.must(err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	s.must(err)
	return string(text)
}

func TestIdleConnectionsOfEachHTTPServiceMove(t *testing.T) {
	s := newScene(t)
	one := s.start()
	running := one.serves("{}", "web", "metrics")
	one.state("serving")
	clients := map[string]*http.Client{}
	dials := map[string]int{}
	for _, name := range []string{"web", "metrics"} {
		transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials[name]++ // one request at a time
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
		defer transport.CloseIdleConnections()
		clients[name] = &http.Client{Transport: transport}
	}
	addresses := map[string]string{}
	for name, client := range clients {
		addresses[name] = one.Do("address", name)
		if pid := s.get(client, addresses[name]); pid != fmt.Sprint(one.PID) {
			t.Errorf("%s: process %s answers, want %d", name, pid, one.PID)
		}
	}
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.serves("{}", "web", "metrics")
	upgrade.Text()
	running.Text() // although the clients keep their connections
	one.Do("close")
	for name, client := range clients {
		if pid := s.get(client, addresses[name]); pid != fmt.Sprint(two.PID) || dials[name] != 1 {
			t.Errorf("%s: process %s answers on connection %d, want %d on the first", name, pid, dials[name], two.PID)
		}
	}
}
