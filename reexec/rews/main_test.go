package rews

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/halt"
	"github.com/cutover-go/cutover/internal/leak"
)

func TestMain(m *testing.M) {
	os.Exit(halt.Main(program, func() int { return leak.Check(m.Run) }))
}
