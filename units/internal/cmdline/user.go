package cmdline

import (
	"path"
	"slices"
	"strings"
)

// changers are programs that run another one as another user in the same process, with
// their options that name the user. nil means that the first argument names it.
var changers = map[string][]string{
	"setpriv": {"--reuid", "--ruid", "--euid"}, "chpst": {"-u", "-U"}, "capsh": {"--user", "--uid"}, "chroot": {"--userspec"},
	"start-stop-daemon": {"-c", "--chuid"}, "systemd-run": {"--uid"}, "unshare": {"-S", "--setuid"}, "nsenter": {"-S", "--setuid"},
	"setuidgid": nil, "s6-setuidgid": nil, "s6-envuidgid": nil, "gosu": nil, "su-exec": nil,
}

// Becomes returns the user that a command line changes to, "" for none.
func (c Command) Becomes() string {
	for _, words := range c.chain() {
		if user := changesTo(words); user != "" {
			return user
		}
	}
	return ""
}

// chain returns the programs of a command line, each with its own arguments: of
// env A=b nice /usr/bin/myapp these are env A=b, nice, and /usr/bin/myapp.
func (c Command) chain() (programs [][]string) {
	all, _ := c.Steps()
	for _, s := range all {
		words := s.Words
		for range 16 { // more programs than a command line has
			if len(words) == 0 {
				break
			}
			next, _, _ := unwrap(path.Base(words[0]), words[1:])
			programs = append(programs, words[:max(1, len(words)-len(next))])
			words = next
		}
	}
	return programs
}

// changesTo returns the user that a program changes to by its own arguments, "" for none.
func changesTo(words []string) string {
	flags, known := changers[path.Base(words[0])]
	if !known {
		return ""
	}
	for i, word := range words[1:] {
		if flags == nil {
			return word
		}
		name, value, joined := strings.Cut(word, "=")
		switch {
		case !slices.Contains(flags, name):
		case joined:
			return value
		case i+2 < len(words):
			return words[i+2]
		}
	}
	return ""
}
