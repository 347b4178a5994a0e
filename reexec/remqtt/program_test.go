package remqtt

import (
	"log/slog"
	"os"

	"github.com/cutover-go/cutover/reexec"
)

// brokerMain is a program with the broker of the tests.
func brokerMain() int {
	b := newBroker(nil)
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return reexec.Main(reexec.Options{Logger: logger}, &Service{Name: "mqtt", Address: "127.0.0.1:0", Serve: b.serve, Logger: logger, at: haltAt})
}
