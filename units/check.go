package units

import (
	"cmp"
	"slices"
)

// Options tell Check what the files do not. The zero value works.
type Options struct {
	// Program is the program itself, if it asks: it knows what its units should
	// know. Nil takes that from the unit, if it says so.
	Program *Daemon

	// All says that every service is of a program that uses the library. False
	// takes those that sdunits has written, and those whose binary was built with it;
	// the rest may be right by rules of their own and are only read.
	All bool

	// Systemd is the oldest version that the units are for. Zero means what the unit
	// says, or 247.
	Systemd int

	// User says that CheckInstalled asks the caller's own manager, not the system's.
	User bool

	// Root is where ExecStart= binaries are looked for. "" is the machine's own root.
	Root string

	neighbours []*merged // units that are not checked, whose directories count
}

// Check reads unit files with their drop-ins and returns what is wrong with them,
// in the order of files and lines: what would make an upgrade by the library fail,
// or a restart or a crash be noticed. It needs no systemd and no privileges.
//
// Files that belong together go together: a service, its drop-ins and its sockets.
// A service counts if it is the library's; see Options. applied is how many did.
func Check(files []File, o Options) (findings []Finding, applied int) {
	all := group(files)
	for _, m := range all {
		for _, f := range ignoredLines(m) {
			findings = append(findings, syntaxRule.finding(f))
		}
	}
	ours := contracts(all, o)
	for _, c := range ours {
		for _, r := range rules() {
			for _, f := range r.found(c) {
				findings = append(findings, r.finding(f))
			}
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return findings, len(ours)
}

func (r *rule) found(c *contract) []fault {
	if r.find == nil {
		return nil
	}
	return r.find(c)
}

// Rules returns all rules, in the order in which a reader would want them.
func Rules() []Rule {
	var all []Rule
	for _, r := range rules() {
		all = append(all, r.Rule)
	}
	return all
}

// rules is every rule there is.
func rules() []*rule {
	return slices.Concat(fileRules, nameRules, releaseRules, reloadRules, execRules, processRules, storeRules, socketRules, pathRules, sandboxRules,
		identityRules, outcomeRules, roomRules, endRules, changeRules)
}
