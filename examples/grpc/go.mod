module github.com/cutover-go/cutover/examples/grpc

go 1.25.0

require (
	github.com/cutover-go/cutover v0.0.0
	github.com/cutover-go/cutover/reexec/regrpc v0.0.0
	google.golang.org/grpc v1.84.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260706201446-f0a921348800 // indirect
)

replace (
	github.com/cutover-go/cutover => ../..
	github.com/cutover-go/cutover/reexec/regrpc => ../../reexec/regrpc
)
