// Command load asks an HTTP/3 server without a pause until it gets SIGTERM or has
// asked often enough, and prints the result. It fails if a request was lost.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cutover-go/cutover/examples/http3/internal/load"
)

func main() {
	url := flag.String("url", "https://127.0.0.1:8443/", "what to ask")
	clients := flag.Int("clients", 8, "how many clients there are, each with a connection")
	streams := flag.Int("streams", 4, "how many requests each has in work")
	requests := flag.Int64("requests", 0, "how many requests are enough (0: go on)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	result := load.Do(ctx, *url, *clients, *streams, *requests)
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if len(result.Lost) > 0 || result.Requests == 0 {
		os.Exit(1)
	}
}
