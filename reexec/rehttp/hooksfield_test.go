//go:build linux

package rehttp

import (
	"net"
	"net/http"
	"testing"
)

// A Go version without the field runs the functions with Shutdown: the package page says so.
func TestFunctionsOfHTTP2StayWithTheServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{}
	if err := srv.ServeTLS(ln, "", ""); err == nil { // registers the function of HTTP/2, and finds no certificate
		t.Fatal("a server without a certificate serves")
	}
	_ = ln.Close() // as above
	all := field[[]func()](srv, "onShutdown")
	if all == nil || len(*all) != 1 {
		t.Fatalf("net/http has the functions %v, want one of HTTP/2", all)
	}
	ran := false
	srv.RegisterOnShutdown(func() { ran = true })
	for _, f := range takeHooks(srv) {
		f()
	}
	if !ran || len(*all) != 1 {
		t.Errorf("the function of the program has run: %v; %d are left, want one", ran, len(*all))
	}
	if again := takeHooks(srv); len(again) != 0 {
		t.Errorf("%d functions are taken twice", len(again))
	}
}
