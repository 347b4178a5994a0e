// Command loadtest queries the server of examples/dns over UDP until its standard input
// ends, and then prints the losses as JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/cutover-go/cutover/examples/dns/internal/load"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5300", "where the server listens")
	rate := flag.Int("rate", 5000, "queries a second")
	flag.Parse()
	stop := make(chan struct{})
	go func() { // ends with the input
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all it says
		close(stop)
	}()
	r, err := load.UDP(stop, *addr, *rate)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
