// Package matrix selects the versions of systemd for a run of tests.
//
// A test package defines the flags once and runs its tests on the selection:
//
//	var selected = matrix.Define(flag.CommandLine)
//
//	func TestSomething(t *testing.T) {
//		selected.Each(t, func(t *testing.T, root machine.Root) { ... })
//	}
//
// The default is the host's systemd. -matrix selects every version of [Versions] and
// every other root tree that e2e/roots has built. -systemd VERSION selects one version.
// A test on a missing version is skipped with a message that says how to get it.
package matrix

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
)

// Versions returns the versions of systemd that the project answers for: the
// oldest, the newest, and those of Debian in between.
func Versions() []int { return []int{247, 252, 254, 257, 262} }

// A Selection holds the flags of a run.
type Selection struct {
	all     bool
	version int // 0 is that of the host
}

// Define defines the flags -matrix and -systemd. The Selection is good once they
// are parsed, which package testing does before the first test.
func Define(flags *flag.FlagSet) *Selection {
	s := &Selection{}
	flags.BoolVar(&s.all, "matrix", false, "run on every systemd that there is a root tree of, see e2e/roots")
	flags.IntVar(&s.version, "systemd", 0, "run on the systemd of this major `version`, of a tree that e2e/roots has built")
	return s
}

// All reports whether the run is about every version.
func (s *Selection) All() bool { return s.all }

// Host reports whether the run is about the host's systemd because no flag says otherwise.
func (s *Selection) Host() bool { return !s.all && s.version == 0 }

// Each runs f for each selected version, as the subtest systemd-VERSION. A version
// that is not selected or not there is a skipped subtest.
func (s *Selection) Each(t *testing.T, f func(t *testing.T, root machine.Root)) {
	t.Helper()
	roots := available(t)
	own, err := s.own(roots)
	for _, version := range union(Versions(), roots) {
		t.Run(fmt.Sprintf("systemd-%d", version), func(t *testing.T) {
			t.Helper()
			if !s.all {
				needs.That(t, err)
				if version != own.Version {
					t.Skip("-matrix runs the other versions, too")
				}
			}
			root, err := machine.Find(version)
			needs.That(t, err)
			f(t, root)
		})
	}
}

// Root returns the tree for a test that is about one version: that of -systemd,
// else the host's own. If it is not there, the test is skipped.
func (s *Selection) Root(t testing.TB) machine.Root {
	t.Helper()
	root, err := s.own(available(t))
	needs.That(t, err)
	return root
}

func available(t testing.TB) []machine.Root {
	t.Helper()
	roots, err := machine.Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// own returns the tree that one version is run on.
func (s *Selection) own(roots []machine.Root) (machine.Root, error) {
	if s.version != 0 {
		return machine.Find(s.version)
	}
	for _, r := range roots {
		if r.Name == "host" {
			return r, nil
		}
	}
	return machine.Root{}, errors.New("this host has no systemd; -systemd VERSION uses a tree of e2e/roots")
}

// union returns versions and those of roots, each once, in order.
func union(versions []int, roots []machine.Root) []int {
	for _, r := range roots {
		versions = append(versions, r.Version)
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}
