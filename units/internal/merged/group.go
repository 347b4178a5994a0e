package merged

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Group puts unit files and their drop-ins together, in the order of files. Of two
// files with one name the first counts, as /etc comes before /usr/lib.
func Group(files []unitfile.File) []*Unit {
	var units []*Unit
	seen := map[string]bool{}
	for i := range files {
		f := &files[i]
		if isDropIn(f.Name) || seen[f.Name] {
			continue
		}
		seen[f.Name] = true
		units = append(units, Merge(f.Name, append([]*unitfile.File{f}, DropIns(f.Name, files)...)))
	}
	return units
}

func isDropIn(name string) bool { return strings.HasSuffix(path.Dir(name), ".d") }

// DropIns returns the drop-ins of a unit in the order of their file names. A drop-in in a more
// specific directory hides a drop-in of the same name.
func DropIns(unit string, files []unitfile.File) []*unitfile.File {
	byBase := map[string]*unitfile.File{}
	for _, dir := range dropInDirs(unit) {
		for i := range files {
			f := &files[i]
			base := path.Base(f.Name)
			if path.Dir(f.Name) == dir && strings.HasSuffix(base, ".conf") && byBase[base] == nil {
				byBase[base] = f
			}
		}
	}
	var list []*unitfile.File
	for _, f := range byBase {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *unitfile.File) int { return cmp.Compare(path.Base(a.Name), path.Base(b.Name)) })
	return list
}

// dropInDirs are the directories whose drop-ins a unit has, the most specific first
// (systemd.unit(5)): a-b.service.d, then a-.service.d, then service.d.
func dropInDirs(unit string) []string {
	stem, kind, _ := unitfile.CutLast(unit, ".")
	dirs := []string{unit + ".d"}
	if template, _, ok := strings.Cut(stem, "@"); ok && !strings.HasSuffix(stem, "@") {
		dirs = append(dirs, template+"@."+kind+".d")
	}
	for rest := strings.TrimSuffix(stem, "-"); ; {
		var ok bool
		if rest, _, ok = unitfile.CutLast(rest, "-"); !ok {
			return append(dirs, kind+".d")
		}
		dirs = append(dirs, rest+"-."+kind+".d")
	}
}
