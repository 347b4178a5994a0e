package unitfile

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// Expand replaces the specifiers of systemd.unit(5) that follow from the name of the unit, and
// those of the directories of the system's manager. runtime is %t, such as /run. Other
// specifiers stay.
func Expand(unit, runtime, text string) string {
	stem, _, _ := CutLast(unit, ".")
	prefix, instance, _ := strings.Cut(stem, "@")
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	return strings.NewReplacer("%%", "%", "%t", runtime, "%S", "/var/lib", "%C", "/var/cache", "%L", "/var/log", "%E", "/etc", "%T", "/tmp", "%V", "/var/tmp",
		"%n", unit, "%N", stem, "%p", prefix, "%P", unescapeName(prefix), "%j", last, "%J", unescapeName(last),
		"%i", instance, "%I", unescapeName(instance), "%f", "/"+unescapeName(cmp.Or(instance, prefix))).Replace(text)
}

// unescapeName undoes the escapes of a unit's name (systemd-escape(1)): - is a slash, \x2d a dash.
func unescapeName(name string) string {
	return nameEscapes.ReplaceAllStringFunc(name, func(escape string) string {
		if escape == "-" {
			return "/"
		}
		code, _ := strconv.ParseUint(escape[2:], 16, 8) // two hexadecimal digits
		return string([]byte{byte(code)})
	})
}

var nameEscapes = regexp.MustCompile(`-|\\x[0-9a-fA-F]{2}`)

// CutLast is strings.Cut at the last sep: the name of a unit has its kind behind the last dot.
func CutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
