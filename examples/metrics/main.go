// Command metrics is a web server that is replaced while it runs, and that Prometheus watches:
// http://127.0.0.1:9180/metrics has its upgrades. Beside it lie rules for alerts (alerts.yml)
// and a dashboard for Grafana (dashboard.json).
//
//	go build -C examples/metrics -o /usr/local/bin/cutover-metrics .
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/reexec/remetrics"
	"github.com/cutover-go/cutover/units"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "units" {
		os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	greeting := flag.String("greeting", "", "`file` with the greeting")
	flag.Parse()
	mux := http.NewServeMux()
	read := reexec.ServiceFunc(func(context.Context, *reexec.Upgrader) (func(context.Context) error, error) {
		text, err := greetingOf(*greeting)
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, text) })
		return nil, err
	})

	m := remetrics.New()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	scrape := http.NewServeMux()
	scrape.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	os.Exit(reexec.Main(reexec.Options{Observe: m.Observe}, read, m, counted(m, "http", "127.0.0.1:8180", mux),
		rehttp.Service("metrics", "127.0.0.1:9180", &http.Server{Handler: scrape})))
}

// counted is rehttp.Service with a listener that counts its connections.
func counted(m *remetrics.Metrics, name, address string, handler http.Handler) reexec.Service {
	return reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
		ln, err := u.Listen(ctx, name, "tcp", address)
		if err != nil {
			return nil, err
		}
		s := &rehttp.Server{Upgrader: u, HTTP: &http.Server{Handler: handler}}
		if ln, err = s.Wrap(m.Count(name, ln)); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return s.Serve(ctx, ln) }, nil
	})
}

func greetingOf(file string) (string, error) {
	if file == "" {
		return "hello", nil
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// daemon describes the program; its units are made from it.
func daemon() units.Daemon {
	return units.Daemon{
		Name: "cutover-metrics", Description: "Cutover example of metrics", Binary: "/usr/local/bin/cutover-metrics",
		Sockets: []units.Socket{
			{Name: "http", Listen: []string{"127.0.0.1:8180"}},
			{Name: "metrics", Listen: []string{"127.0.0.1:9180"}},
		},
		Hardening: units.Strict,
	}
}
