package matrix_test

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/matrix"
	"github.com/cutover-go/cutover/internal/needs"
)

// selection is what a run with these arguments selects.
func selection(t *testing.T, args ...string) *matrix.Selection {
	t.Helper()
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s := matrix.Define(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return s
}

// own is the version of the host's own systemd.
func own(t *testing.T) int {
	t.Helper()
	version, err := machine.VersionIn("/")
	needs.That(t, err)
	return version
}

// ran returns the versions that Each runs.
func ran(t *testing.T, s *matrix.Selection) (versions []int) {
	t.Helper()
	t.Run("each", func(t *testing.T) {
		s.Each(t, func(t *testing.T, root machine.Root) {
			if want := fmt.Sprintf("/each/systemd-%d", root.Version); !strings.HasSuffix(t.Name(), want) {
				t.Errorf("%s runs on systemd %d", t.Name(), root.Version)
			}
			versions = append(versions, root.Version)
		})
	})
	return versions
}

func TestTheHostsOwnByDefault(t *testing.T) {
	version := own(t)
	if got := ran(t, selection(t)); !slices.Equal(got, []int{version}) {
		t.Errorf("Each runs %v, want %d alone", got, version)
	}
	if root := selection(t).Root(t); root.Version != version || root.Path != "/" {
		t.Errorf("Root is %+v, want the host's with systemd %d", root, version)
	}
}

func TestMatrixIsEveryTreeThatIsThere(t *testing.T) {
	t.Setenv(needs.Variable, "") // .ci/run builds the trees meanwhile
	roots, err := machine.Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []int
	for _, r := range roots {
		want = append(want, r.Version)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if got := ran(t, selection(t, "-matrix")); !slices.Equal(got, want) {
		t.Errorf("-matrix runs %v, want %v", got, want)
	}
}

func TestAVersionThatIsNotThereSkips(t *testing.T) {
	t.Setenv(needs.Variable, "")
	s := selection(t, "-systemd", "1")
	if got := ran(t, s); got != nil {
		t.Errorf("Each runs %v", got)
	}
	t.Run("root", func(t *testing.T) {
		defer func() {
			if !t.Skipped() {
				t.Error("Root does not skip")
			}
		}()
		s.Root(t)
	})
}
