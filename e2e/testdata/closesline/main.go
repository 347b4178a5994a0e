// Command closesline is a successor that closes its control descriptor and lives on.
package main

import (
	"os"
	"time"
)

func main() {
	os.NewFile(3, "line").Close()
	time.Sleep(time.Hour)
}
