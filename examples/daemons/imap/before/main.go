// Command imap is an IMAP server with one user, "username", whose password is "password".
package main

import (
	"flag"
	"log"

	"github.com/emersion/go-imap/backend/memory"
	"github.com/emersion/go-imap/server"
)

func main() {
	addr := flag.String("addr", ":143", "listen on this `address`")
	flag.Parse()
	srv := server.New(memory.New())
	srv.Addr = *addr
	srv.AllowInsecureAuth = true
	if err := srv.ListenAndServe(); err != nil {
		log.Fatal(err)
	}
}
