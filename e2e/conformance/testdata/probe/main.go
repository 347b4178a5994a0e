// Command probe is the daemon of the conformance suite.
package main

import (
	"os"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

func main() { os.Exit(probe.Main(os.Args[1:])) }
