// Command broken is a third version of the example that does not start. Its reload
// command is in order, as that of a broken release usually is.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/cutover-go/cutover/reexec"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "reload" {
		if err := reexec.Reload(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	fmt.Fprintln(os.Stderr, "v3: open database: no such file or directory")
	os.Exit(3)
}
