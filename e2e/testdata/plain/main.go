// Command plain serves by an accept loop and calls neither Hold nor Drain. The stories
// have it ignore a part of what the package asks of programs.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/cutover-go/cutover/reexec"
)

var version = "dev"

func main() {
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "reload" {
		run = reexec.Reload
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	end := flag.String("end", "accept", "what ends the process: draining, as soon as this generation drains; accept, an error of Accept; or nothing")
	o := reexec.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flag.DurationVar(&o.Drain, "drain", 0, "Options.Drain")
	flag.Parse()
	u, err := reexec.New(o)
	if err != nil {
		return err
	}
	ln, err := u.Listen(ctx, "http", "tcp", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	if err := u.Ready(ctx); err != nil {
		return err
	}
	accepted := make(chan struct{})
	go func() { // ends with Accept, or with the process
		defer close(accepted)
		line := fmt.Sprintf("version=%s generation=%d pid=%d\n", version, u.Generation(), os.Getpid())
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answer(c, line) // ends with the connection
		}
	}()
	switch *end {
	case "draining":
		draining := make(chan struct{})
		u.OnDrain(sync.OnceFunc(func() { close(draining) }))
		<-draining
	case "accept":
		<-accepted
	default:
		select {}
	}
	return nil // without Close
}

// answer answers one request and closes c.
func answer(c net.Conn, line string) {
	defer c.Close()
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(line), line)
}
