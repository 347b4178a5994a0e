// Command program reaches a point, and says what has become of it.
package main

import (
	"fmt"
	"os"

	"github.com/cutover-go/cutover/internal/fault"
)

func main() {
	fault.At(fault.GatesShut)
	_, err := os.Open(os.DevNull)
	fmt.Println("open:", err)
}
