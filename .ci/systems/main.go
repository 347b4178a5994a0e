// Command systems type-checks packages and their tests for other systems than this one:
//
//	go run -C .ci/systems . PACKAGE ... -- GOOS/GOARCH ...
//
// The packages are those of the repository. The command reads the packages of Go from their
// source, without the bodies of their functions. go vet would compile them for each system,
// which takes two minutes of a processor.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	split := slices.Index(os.Args, "--")
	if split < 2 {
		fmt.Fprintln(os.Stderr, "usage: systems PACKAGE ... -- GOOS/GOARCH ...")
		os.Exit(2)
	}
	for _, system := range os.Args[split+1:] {
		goos, goarch, _ := strings.Cut(system, "/")
		loaded, err := packages.Load(&packages.Config{
			Mode:  packages.LoadAllSyntax,
			Dir:   "../..",
			Env:   append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
			Tests: true,
		}, os.Args[1:split]...)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if packages.PrintErrors(loaded) > 0 {
			fmt.Fprintln(os.Stderr, system, "cannot compile these packages")
			os.Exit(1)
		}
		fmt.Println(system, len(loaded), "packages")
	}
}
