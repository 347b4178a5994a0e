// Command killed is a successor that is killed while it initialises.
package main

import (
	"os"
	"syscall"
)

func main() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
}
