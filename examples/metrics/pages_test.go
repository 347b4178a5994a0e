package main

import (
	"testing"

	"github.com/cutover-go/cutover/examples/internal/pages"
)

func TestProgramInDocumentationOfRemetricsBuilds(t *testing.T) {
	pages.Vet(t, []pages.Frame{{File: "reexec/remetrics/remetrics.go", First: "m := remetrics.New()",
		Text: "var srv *http.Server\nfunc main() {\n" + pages.Here + "\n}\n"}})
}
