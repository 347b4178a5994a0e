// Command loadtest runs clients of the server of examples/websocket until its standard
// input ends, and then prints the losses as JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/cutover-go/cutover/examples/websocket/internal/load"
)

func main() {
	var c load.Config
	flag.StringVar(&c.URL, "url", "ws://127.0.0.1:8082", "where the server listens")
	flag.IntVar(&c.Clients, "clients", 20, "how many there are")
	flag.IntVar(&c.Rate, "rate", 20, "messages a second of each")
	flag.Parse()
	stop := make(chan struct{})
	go func() { // ends with the input
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all it says
		close(stop)
	}()
	if err := json.NewEncoder(os.Stdout).Encode(load.Run(stop, c, func() {})); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
