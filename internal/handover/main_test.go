//go:build linux

package handover_test

import (
	"flag"
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/leak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // the fuzzer keeps goroutines and descriptors open
	}
	os.Exit(leak.Check(m.Run))
}
