module github.com/cutover-go/cutover/examples/dns

go 1.25.0

require (
	github.com/cutover-go/cutover v0.0.0
	github.com/miekg/dns v1.1.73
)

require (
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/cutover-go/cutover => ../..
