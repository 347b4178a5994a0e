package rehttp

import (
	"fmt"
	"net/http"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// Health returns a handler for the health checks of a load balancer. It answers 200. After
// the process was told to stop, it answers 503 until the process ends. It does not answer
// 503 because of an upgrade: the connection of a health check moves to the successor, or
// is asked to close in its turn, and the successor answers the next check. A nil u means the
// Upgrader that serves the request, see [Upgrader].
func Health(u *reexec.Upgrader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := u
		if u == nil {
			u = Upgrader(r.Context())
		}
		if u != nil && closed(protocol.Of(u).Stopping()) {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}
