package unitfile

import (
	"cmp"
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
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if code, ok := escapedByte(name[i:]); ok {
			b.WriteByte(code)
			i += len(`\x2d`) - 1
		} else if name[i] == '-' {
			b.WriteByte('/')
		} else {
			b.WriteByte(name[i])
		}
	}
	return b.String()
}

// escapedByte returns the byte that text begins with as \x and two hexadecimal digits.
func escapedByte(text string) (byte, bool) {
	digits, ok := strings.CutPrefix(text, `\x`)
	if !ok || len(digits) < 2 {
		return 0, false
	}
	code, err := strconv.ParseUint(digits[:2], 16, 8)
	return byte(code), err == nil
}

// CutLast is strings.Cut at the last sep: the name of a unit has its kind behind the last dot.
func CutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
