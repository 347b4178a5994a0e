// Command ssh is an SSH server whose sessions count: `ssh -p 2222 HOST 20` prints 20 lines,
// one a second.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/gliderlabs/ssh"

	"github.com/cutover-go/cutover/reexec"
)

func main() {
	addr := flag.String("addr", ":2222", "listen on this `address`")
	key := flag.String("key", "/etc/ssh/ssh_host_ed25519_key", "`file` of the host key")
	flag.Parse()
	srv := &ssh.Server{Addr: *addr, Handler: count}
	if err := srv.SetOption(ssh.HostKeyFile(*key)); err != nil {
		log.Fatal(err)
	}
	os.Exit(reexec.Main(reexec.Options{Drain: time.Hour, StopDrain: 10 * time.Second}, reexec.Stream("ssh", *addr, srv.Serve)))
}

func count(s ssh.Session) {
	n, err := strconv.Atoi(s.RawCommand())
	if err != nil {
		fmt.Fprintln(s.Stderr(), "the command is a number of lines:", err)
		_ = s.Exit(1) // the client has gone
		return
	}
	for i := range n {
		if _, err := fmt.Fprintln(s, i+1); err != nil {
			log.Print(err)
			return
		}
		time.Sleep(time.Second)
	}
}
