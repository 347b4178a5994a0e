module github.com/cutover-go/cutover/examples/fasthttp

go 1.25.0

require (
	github.com/cutover-go/cutover v0.0.0
	github.com/valyala/fasthttp v1.74.0
)

require (
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/molecule-man/go-brrr v1.0.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/cutover-go/cutover => ../..
