package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// A tree is one root tree to build.
type tree struct {
	name  string
	suite string // what debootstrap installs
	extra string // suite of the same mirror that systemd is taken from; "" is suite
	more  string // packages of extra besides systemd
}

// trees are the matrix, with the systemd versions of November 2026.
var trees = []tree{
	{name: "bullseye", suite: "bullseye"},                                        // 247
	{name: "bookworm-backports", suite: "bookworm", extra: "bookworm-backports"}, // 254
	{name: "trixie", suite: "trixie"},                                            // 257
	{name: "sid", suite: "sid"},                                                  // 262, and moves on

	// 257 again, for containers.
	{name: machine.PodmanTree, suite: "trixie", extra: "trixie", more: "podman crun"},
}

// packages make a tree one that boots.
var packages = []string{"systemd", "systemd-sysv"}

// choose returns the trees of the given names, all if there are none.
func choose(names []string) (chosen []tree, err error) {
	for _, t := range trees {
		if len(names) == 0 || slices.Contains(names, t.name) {
			chosen = append(chosen, t)
		}
	}
	if len(names) > len(chosen) {
		return nil, fmt.Errorf("unknown or repeated tree in %q, there are %s", names, known())
	}
	return chosen, nil
}

func known() string {
	names := make([]string, len(trees))
	for i, t := range trees {
		names[i] = t.name
	}
	return strings.Join(names, ", ")
}
