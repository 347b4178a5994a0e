// Command flip is an example for HTTP in the documentation of tableflip. The test adds the text of
// the examples, with the import path of package tableflip of this module.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

var version = "dev"

func main() {
	http.HandleFunc("/", answer)
	if os.Getenv("FLIP") == "readme" {
		readme()
	} else {
		Example_httpShutdown()
	}
}

// answer says which process answers.
func answer(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body) // the load finds out about missing bytes
	time.Sleep(duration(r))
	fmt.Fprintf(w, "version=%s generation=0 pid=%d bytes=%d\n", version, os.Getpid(), n)
}

func duration(r *http.Request) time.Duration {
	d, _ := time.ParseDuration(r.URL.Query().Get("d")) // 0 if there is none
	return d
}
