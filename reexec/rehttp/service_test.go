//go:build linux

package rehttp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// announced is a service that reports the addresses of its listeners.
type announced struct {
	name string
	srv  *http.Server
	at   chan<- string
}

func (a announced) Listen(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
	address := make(chan string, 1)
	a.srv.BaseContext = func(ln net.Listener) context.Context {
		address <- ln.Addr().String()
		return context.Background()
	}
	serve, err := rehttp.Service(a.name, "127.0.0.1:0", a.srv).Listen(ctx, u)
	return func(ctx context.Context) error {
		go func() { a.at <- a.name + " " + <-address }() // ends when net/http serves
		return serve(ctx)
	}, err
}

func withCertificate() *tls.Config {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
}

func TestServicesOfAProgramServePlainAndTLS(t *testing.T) {
	addresses := make(chan string, 2)
	secure := &http.Server{Handler: rehttp.Health(nil), TLSConfig: withCertificate()}
	plain := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, rehttp.Upgrader(r.Context()).Generation())
	})}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { // joined below
		result <- reexec.Run(ctx, reexec.Options{}, announced{"plain", plain, addresses}, announced{"secure", secure, addresses})
	}()
	for range 2 {
		name, address, _ := strings.Cut(<-addresses, " ")
		h := &house{TB: t, address: address}
		c := h.call()
		if name == "plain" {
			h.wants(c, "/", "1", false)
		} else {
			h.wants(secured(c), "/", "ok\n", false)
		}
	}
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestAServiceLogsTheRequestsThatItCuts(t *testing.T) {
	addresses := make(chan string, 2)
	working, goOn := make(chan struct{}), make(chan struct{})
	slow := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(working); <-goOn })}
	var log bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { // joined below
		o := reexec.Options{Drain: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		result <- reexec.Run(ctx, o, announced{"slow", slow, addresses}, announced{"idle", &http.Server{}, addresses})
	}()
	for range 2 {
		name, address, _ := strings.Cut(<-addresses, " ")
		if name == "slow" {
			if err := (&house{TB: t, address: address}).call().ask("/film"); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-working
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
	close(goOn)
	if text := log.String(); !strings.Contains(text, `service \"slow\"`) || !strings.Contains(text, "GET /film of ") || strings.Contains(text, `\"idle\"`) {
		t.Errorf("the log does not name the request of the slow service only:\n%s", text)
	}
}

func TestAServiceThatTheProgramShutsDownEnds(t *testing.T) {
	addresses := make(chan string, 1)
	srv := &http.Server{}
	result := make(chan error, 1)
	go func() { // joined below
		result <- reexec.Run(t.Context(), reexec.Options{}, announced{"http", srv, addresses})
	}()
	<-addresses
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}
