package running

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/applied"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// newer returns one difference for each file of the unit that was changed after the start and has
// a setting that needs a start, and for each environment file that was changed.
func newer(m *merged.Unit, section string, started time.Time, known map[string]bool) (all []Difference) {
	k := map[string]Kind{"Service": SettingDiffers, "Socket": SocketDiffers}[section]
	first, keys := map[*unitfile.File]unitfile.Assignment{}, map[*unitfile.File][]string{}
	for _, a := range m.All {
		if a.Section != section || applied.ByManager(a.Key) {
			continue
		}
		if a.Key == "EnvironmentFile" {
			all = append(all, newerEnvironment(a, started)...)
		}
		if known[a.Key] || !changedAfter(a.File.Path, started) {
			continue
		}
		if keys[a.File] == nil {
			first[a.File] = a
		}
		if !slices.Contains(keys[a.File], a.Key+"=") {
			keys[a.File] = append(keys[a.File], a.Key+"=")
		}
	}
	for f, a := range first {
		all = append(all, differs(k, a, "the file has changed since the start at %s, perhaps also: %s", started.Format(time.DateTime), strings.Join(keys[f], " "))...)
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.At.File.Path, b.At.File.Path), cmp.Compare(a.At.Line, b.At.Line))
	})
	return all
}

func newerEnvironment(a unitfile.Assignment, started time.Time) []Difference {
	// A bad pattern has no files, as for systemd.
	names, _ := filepath.Glob(strings.TrimPrefix(a.Value, "-"))
	for _, name := range names {
		if changedAfter(name, started) {
			return differs(SettingDiffers, a, "%s was changed since the start at %s", name, started.Format(time.DateTime))
		}
	}
	return nil
}

// changedAfter compares seconds, because systemctl shows no fractions. A change in the second
// of the start counts as earlier.
func changedAfter(name string, started time.Time) bool {
	info, err := os.Stat(name)
	return err == nil && info.ModTime().Truncate(time.Second).After(started)
}
