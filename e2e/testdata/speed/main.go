// Command speed is the program that `measure speed` measures: a server of this module, or
// with -bare one that does the same without it.
//
// It reads commands from standard input, one a line, and prints one line for each; each
// generation reads the line of its own upgrade and no further.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

var (
	mode  = flag.String("mode", "http", "http, http2, tcp, udp, sockets, least, or hello to print that and end")
	bare  = flag.Bool("bare", false, "serve without this module")
	count = flag.Int("n", 4, "`listeners` of -mode sockets")
	addr  = flag.String("addr", "127.0.0.1:0", "`address` of http, http2, tcp and udp")
)

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
	flag.Parse()
	switch {
	case *mode == "hello":
		fmt.Println("hello")
		return nil
	case *mode == "least":
		return least(ctx)
	case *bare && *mode == "udp":
		c, err := net.ListenPacket("udp", *addr)
		if err != nil {
			return err
		}
		fmt.Println(c.LocalAddr())
		go untilEnd()
		return echo(c)
	case *bare:
		ln, err := net.Listen("tcp", *addr)
		if err != nil {
			return err
		}
		fmt.Println(ln.Addr())
		go untilEnd()
		if *mode == "tcp" {
			return accept(ln)
		}
		return httpServer().Serve(ln)
	}
	return upgradable(ctx)
}

// untilEnd ends the process with the measurement.
func untilEnd() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// A run is a generation.
type run struct {
	u        *reexec.Upgrader
	switched chan reexec.Event
}

func upgradable(ctx context.Context) (err error) {
	r := &run{switched: make(chan reexec.Event, 1)}
	r.u, err = reexec.New(reexec.Options{Observe: r.observe})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.u.Close()) }()
	switch *mode {
	case "http", "http2":
		ln, err := r.u.Listen(ctx, "http", "tcp", *addr)
		if err != nil {
			return err
		}
		r.begin(ln.Addr())
		err = rehttp.Serve(ctx, r.u, httpServer(), ln)
		r.end()
		return err
	case "tcp":
		ln, err := r.u.Listen(ctx, "echo", "tcp", *addr)
		if err != nil {
			return err
		}
		go func() { _ = accept(ln) }() // ends when Close closes ln
		r.begin(ln.Addr())
	case "udp":
		c, err := r.u.ListenPacket(ctx, "echo", "udp", *addr)
		if err != nil {
			return err
		}
		go func() { _ = echo(c) }() // ends when Close closes c
		r.begin(c.LocalAddr())
	case "sockets":
		for i := range *count {
			if _, err := r.u.Listen(ctx, "sockets", "unix", fmt.Sprintf("@speed/%d/%d", os.Getppid(), i)); err != nil {
				return err
			}
		}
		r.begin(nil)
	}
	if err := r.u.Ready(ctx); err != nil {
		return err
	}
	err = r.u.Drain(ctx)
	r.end()
	return err
}

// begin prints the address of the first generation and obeys the commands.
func (r *run) begin(a net.Addr) {
	if r.u.Generation() == 1 {
		fmt.Println(a)
	}
	if i, err := os.Stdin.Stat(); err == nil && i.Mode()&os.ModeNamedPipe != 0 { // not under systemd
		go r.obey() // ends with the process
	}
}

// obey reads byte by byte, because the next line is for the next generation.
func (r *run) obey() {
	line := ""
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(os.Stdin, b); err != nil {
			os.Exit(0) // the measurement has ended
		}
		if b[0] != '\n' {
			line += string(b)
			continue
		}
		err := r.u.Upgrade(context.Background())
		for errors.Is(err, reexec.ErrNotReady) { // the predecessor answers before this process is the main one
			time.Sleep(time.Millisecond)
			err = r.u.Upgrade(context.Background())
		}
		if err != nil {
			fmt.Println(line, err)
			os.Exit(1) // no generation would end with the measurement
		}
		return
	}
}

func (r *run) observe(e reexec.Event) {
	if e.Kind == "switched" {
		r.switched <- e
	}
}

// end prints the times from the begin of the upgrade to the switch, and from there to now.
func (r *run) end() {
	now := time.Now()
	e := <-r.switched
	fmt.Println(e.Since.Nanoseconds(), now.Sub(e.Time).Nanoseconds())
}

// httpServer returns a server of HTTP/1, or of HTTP/2 without TLS.
func httpServer() *http.Server {
	srv := &http.Server{Handler: http.HandlerFunc(answer), Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(*mode == "http")
	srv.Protocols.SetUnencryptedHTTP2(*mode == "http2")
	return srv
}

func answer(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a short answer\n") }

// accept echoes what each connection sends.
func accept(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with the connection
			defer c.Close()
			b := make([]byte, 512)
			for {
				n, err := c.Read(b)
				if err != nil {
					return
				}
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func echo(c net.PacketConn) error {
	b := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		if _, err := c.WriteTo(b[:n], from); err != nil {
			return err
		}
	}
}
