module github.com/cutover-go/cutover/e2e/testdata/tableflip

go 1.26.0

require (
	github.com/cloudflare/tableflip v1.2.3
	github.com/cutover-go/cutover v0.0.0
)

replace github.com/cutover-go/cutover => ../../..
