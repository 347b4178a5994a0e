package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// proxyLoad has tunnels to a server that returns each byte, and asks a web server on new
// connections.
func proxyLoad(address string, l *load.Load) error {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { // ends with the process
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }() // ends with the tunnel
		}
	}()
	tunnels := make([]*tunnel, 20)
	for i := range tunnels {
		if tunnels[i], err = dial(address, echo.Addr().String()); err != nil {
			return err
		}
	}
	l.Each("kept", len(tunnels), 100*time.Millisecond, func(i int) error { return tunnels[i].echoed() })

	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { // as above
		_ = http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") }))
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: address})}}
	l.Each("new", 4, 100*time.Millisecond, func(int) error {
		r, err := client.Post("http://"+web.Addr().String()+"/", "text/plain", nil)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		_, err = io.Copy(io.Discard, r.Body)
		return err
	})
	return nil
}

// tunnel is a CONNECT tunnel.
type tunnel struct {
	net.Conn
	in *bufio.Reader
}

func dial(proxy, to string) (*tunnel, error) {
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	t := &tunnel{c, bufio.NewReader(c)}
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", to); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(t.in, &http.Request{Method: http.MethodConnect})
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("tunnel: %s", r.Status)
	}
	return t, err
}

func (t *tunnel) echoed() error {
	if _, err := io.WriteString(t, "hello"); err != nil {
		return err
	}
	_, err := io.ReadFull(t.in, make([]byte, 5))
	return err
}
