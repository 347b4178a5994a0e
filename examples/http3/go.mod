module github.com/cutover-go/cutover/examples/http3

go 1.26.0

require (
	github.com/cutover-go/cutover v0.0.0
	github.com/cutover-go/cutover/reexec/rehttp3 v0.0.0
	github.com/quic-go/quic-go v0.65.0
)

require (
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	github.com/godbus/dbus/v5 v5.2.2 // indirect
	github.com/quic-go/qpack v0.6.0 // indirect
	golang.org/x/crypto v0.54.0 // indirect
	golang.org/x/net v0.56.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
)

replace (
	github.com/cutover-go/cutover => ../..
	github.com/cutover-go/cutover/reexec/rehttp3 => ../../reexec/rehttp3
)
