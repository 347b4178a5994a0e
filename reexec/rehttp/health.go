package rehttp

import (
	"fmt"
	"net/http"

	"github.com/cutover-go/cutover/reexec"
)

// Health answers a load balancer's question whether the service is well: 200, and 503
// once this process was asked to end, while it finishes what it has. An upgrade is no
// reason for 503. The service is well then; a connection on which it is asked moves,
// or is asked to close in its turn, so that the successor answers from then on.
func Health(u *reexec.Upgrader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if closed(u.Stopping()) {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}
