// Command loadtest calls the server of examples/grpc until its standard input ends, and
// then prints the losses as JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/cutover-go/cutover/examples/grpc/internal/load"
)

func main() {
	var c load.Config
	flag.StringVar(&c.Addr, "addr", "127.0.0.1:50051", "where the server listens")
	flag.IntVar(&c.Conns, "conns", 8, "kept connections")
	flag.IntVar(&c.Kept, "kept", 300, "calls a second on kept connections")
	flag.IntVar(&c.Fresh, "fresh", 50, "calls a second that dial first")
	flag.IntVar(&c.Streams, "streams", 5, "streams a second")
	flag.IntVar(&c.Count, "count", 10, "messages of a stream, ten a second")
	flag.Parse()
	stop := make(chan struct{})
	go func() { // ends with the input
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all it says
		close(stop)
	}()
	r, err := load.Run(stop, c)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
