//go:build linux

package sockets_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run)) }
