package daemons

import (
	"testing"

	"github.com/cutover-go/cutover/examples/internal/pages"
)

const (
	inMain  = "var mux, metrics = http.NewServeMux(), http.NewServeMux()\nvar cfg *tls.Config\nfunc main() {\n" + pages.Here + "\n}\n"
	servers = `
var smtpServer interface{ Serve(net.Listener) error }
func serveUDP(net.PacketConn) error { return nil }
`
	serves = "var mux, metrics http.Handler\n" + servers + pages.Here
	calls  = servers + "func main() {\n" + pages.Here + "\n}\n"
)

// TestProgramsInPackageDocumentationBuild builds each of them in a module outside of the
// repository. Package remetrics is in examples/metrics, and README.md in the tests of the root.
func TestProgramsInPackageDocumentationBuild(t *testing.T) {
	pages.Vet(t, []pages.Frame{
		{File: "reexec/doc.go", First: "func main() {", Text: serves},
		{File: "reexec/main.go", First: "func main() {", Text: serves},
		{File: "reexec/doc.go", First: "u, err := reexec.New(reexec.Options{})",
			Text: "func serve(ctx context.Context, mux http.Handler) error {\n" + pages.Here + "\nreturn err\n}\n"},
		{File: "reexec/stream.go", First: `reexec.Stream("smtp", ":25", smtpServer.Serve)`, Text: calls},
		{File: "reexec/packet.go", First: `reexec.Packet("dns", ":53", serveUDP)`, Text: calls},
		{File: "reexec/listen.go", First: `ln, err := u.ListenFunc("http", func() (net.Listener, error) { return lc.Listen(ctx, "tcp", ":80") })`,
			Text: "func listen(ctx context.Context, u *reexec.Upgrader, lc net.ListenConfig) (net.Listener, error) {\n" + pages.Here + "\nreturn ln, err\n}\n"},
		{File: "reexec/rehttp/service.go", First: "reexec.Main(reexec.Options{},",
			Text: "var site, metrics *http.Server\nfunc main() {\n" + pages.Here + "\n}\n"},
		{File: "reexec/regrpc/regrpc.go", First: "os.Exit(reexec.Main(reexec.Options{},", Text: `
type greeter struct{}
type generated struct{}
func (generated) RegisterGreeterServer(grpc.ServiceRegistrar, greeter) {}
var pb generated // the package that protoc makes
func main() {
` + pages.Here + "\n}\n"},
		{File: "reexec/rehttp3/rehttp3.go", First: "os.Exit(reexec.Main(reexec.Options{},", Text: inMain},
		{File: "reexec/rews/doc.go", First: "package main"},
		{File: "reexec/remqtt/doc.go", First: "package main"},
		{File: "reexec/tableflip/doc.go", First: `import "github.com/cutover-go/cutover/reexec/tableflip"`, Text: pages.Here + `
func main() {
	upg, err := tableflip.New(tableflip.Options{})
	if err == nil {
		upg.Stop()
	}
}
`},
		{File: "reexec/tableflip/doc.go", First: "err = rehttp.Serve(ctx, upg.Reexec(), server, ln) // instead of Ready, server.Serve and Exit",
			Text: "func serve(ctx context.Context, upg *tableflip.Upgrader, server *http.Server, ln net.Listener) (err error) {\n" + pages.Here + "\nreturn err\n}\n"},
		{File: "units/doc.go", First: "daemon := units.Daemon{", Text: "func write() ([]units.File, error) {\n" + pages.Here + "\nreturn files, err\n}\n"},
		{File: "activation/doc.go", First: "set, err := activation.Take()             // once, early in main",
			Text: "func listen() error {\n" + pages.Here + "\n_ = listeners\nreturn err\n}\n"},
		{File: "notify/doc.go", First: "n, err := notify.New() // nil without a manager, and nil does nothing",
			Text: "func ready(ctx context.Context) error {\n" + pages.Here + "\nreturn err\n}\n"},
	})
}
