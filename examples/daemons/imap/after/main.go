// Command imap is an IMAP server with one user, "username", whose password is "password".
package main

import (
	"flag"
	"os"

	"github.com/emersion/go-imap/backend/memory"
	"github.com/emersion/go-imap/server"

	"github.com/cutover-go/cutover/reexec"
)

func main() {
	addr := flag.String("addr", ":143", "listen on this `address`")
	flag.Parse()
	srv := server.New(memory.New())
	srv.Addr = *addr
	srv.AllowInsecureAuth = true
	os.Exit(reexec.Main(reexec.Options{}, reexec.Stream("imap", *addr, srv.Serve)))
}
