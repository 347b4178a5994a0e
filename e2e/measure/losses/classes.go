package losses

import (
	"fmt"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

const (
	megabytes = 10 << 20
	slowly    = 3 * time.Second
	patience  = 30 * time.Second // a busy machine makes requests late, not lost
)

// classes are the kinds of client of s: together 15 to 30 % of what two cores can do.
func (r *rig) classes(s server) []load.Class {
	small := []byte("a small body")
	all := []load.Class{
		{Name: "h1, new connections", Rate: 120, Body: small},
		{Name: "h1, 32 busy connections", Rate: 500, Conns: 32, Body: small},
		{Name: "h1, 1,000 idle connections", Rate: 20, Conns: 1000, Ahead: true, Body: small},
		{Name: "h1, pipelined", Rate: 160, Conns: 8, Pipeline: 4, Body: small},
		{Name: "uploads, 10 MB in 3 s", Rate: 1, Conns: 8, Body: r.body, Slowly: slowly},
		{Name: "downloads, 10 MB in 3 s", Rate: 1, Conns: 8, Path: fmt.Sprint("/pattern?bytes=", megabytes), Answer: megabytes, Slowly: slowly},
		{Name: "streams of 3 s", Rate: 4, Path: fmt.Sprint("/stream?d=3s&bytes=", 128<<10), Answer: 128 << 10, Slowly: slowly},
		{Name: "WebSockets of 3 s", Rate: 4, Path: "/echo", Protocol: load.WebSocket, Body: small, Slowly: slowly},
		{Name: "h1 over TLS", Addr: s.secure, TLS: r.trust, Rate: 80, Conns: 8, Body: small},
		{Name: "h2 over TLS", Addr: s.secure, TLS: r.trust, Rate: 160, Conns: 8, Protocol: load.HTTP2, Body: small},
	}
	for i := range all {
		all[i].Rate *= r.part
		all[i].Timeout, all[i].MaxPending = patience, 1<<15
		if all[i].Addr == "" {
			all[i].Addr = s.plain
		}
	}
	return all
}
