// Command broken is a systemd that does not get far.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("Freezing execution.")
	os.Exit(3)
}
