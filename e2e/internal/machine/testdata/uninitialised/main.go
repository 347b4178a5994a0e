// Command uninitialised boots a machine without the call of machine.Init that this
// takes.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func main() {
	m, err := machine.Boot(context.Background(), machine.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	m.Close()
}
