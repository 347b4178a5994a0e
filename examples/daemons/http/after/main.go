// Command http is a web server.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

func main() {
	addr := flag.String("addr", ":8080", "listen on this `address`")
	flag.Parse()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "pid=%d bytes=%d\n", os.Getpid(), n)
	})
	os.Exit(reexec.Main(reexec.Options{}, rehttp.Service("http", *addr, new(http.Server))))
}
