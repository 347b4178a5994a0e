module github.com/cutover-go/cutover/examples/websocket

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/cutover-go/cutover v0.0.0
	github.com/gorilla/websocket v1.5.3
)

require (
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/cutover-go/cutover => ../..
