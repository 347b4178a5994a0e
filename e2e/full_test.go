package e2e

import (
	"flag"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// full makes some stories longer, which are of the same kind without it:
//
//	go test ./e2e -full
var full = flag.Bool("full", false, "run the long form of the stories that have one")

// upgrades is how many the examples that are modules of their own go through:
//
//	go test ./e2e -full -upgrades 100 -run 'GRPC|DNS|HTTP3|WebSocketUpgrades'
var upgrades = flag.Int("upgrades", 20, "`how many` upgrades the examples that are modules go through")

// depending returns what is right for the long form of a story, or for the short one.
func depending[T any](long, short T) T {
	if *full {
		return long
	}
	return short
}

// thorough is whether stories are told whole that may end otherwise on another systemd:
// with -full, or when one is asked about.
func thorough() bool { return *full || *everySystemd || *systemdVersion != 0 }

// longForm skips a story whose behaviour other tests hold, unless stories are told whole.
func longForm(t *testing.T, held string) {
	t.Helper()
	if !thorough() && *faults == "sample" {
		t.Skip("told with -full: " + held)
	}
}

// several is how many upgrades a load goes through.
func several() int {
	if thorough() {
		return 20
	}
	return 5
}

// lively is the load of stories that are about something else, and of which many
// are told at once. More of it, on a machine that others starve, does not end: what
// waits on kept connections is sent on new ones, which cost more.
func lively() []load.Class {
	return []load.Class{
		{Name: "kept", Rate: 100, Conns: 4, Body: []byte("kept")},
		{Name: "new", Rate: 60, Body: []byte("new")},
	}
}

// modulesToo is for stories of examples that are modules of their own, with
// dependencies that take a minute to build.
func modulesToo(t *testing.T) {
	t.Helper()
	if !*full {
		t.Skip("told with -full: it builds a module with its dependencies")
	}
}
