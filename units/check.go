package units

import (
	"cmp"
	"slices"

	"github.com/cutover-go/cutover/units/internal/merged"
)

// Options add facts that the files do not contain. The zero value works.
type Options struct {
	// Program describes the program whose units are checked. Nil takes the facts from
	// the section [X-Cutover] of the unit, if it has one.
	Program *Daemon

	// All applies the rules to every service. False applies them to the units that sdunits
	// has written and to those whose binary was built with the library. Other services may
	// follow other rules, so only their syntax is checked.
	All bool

	// Systemd is the oldest version that the units are for. Zero means the version in the
	// unit's [X-Cutover], or 247.
	Systemd int

	// User makes CheckInstalled ask the caller's own manager instead of the system's.
	User bool

	// Root is the directory below which Check finds the binaries of ExecStart=. "" is the
	// machine's own root.
	Root string

	neighbours []*merged.Unit // units that are not checked, but share directories with these
}

// Check reads unit files with their drop-ins and returns the findings in the order of files
// and lines. A finding is a setting that makes an upgrade by the library fail, or that makes
// clients notice a restart or a crash. Check needs no systemd and no privileges.
//
// Pass files that belong together in one call: a service, its drop-ins and its sockets.
// Options say to which services the rules apply; applied is the number of these services.
func Check(files []File, o Options) (findings []Finding, applied int) {
	return check(group(files), o)
}

func check(all []*merged.Unit, o Options) (findings []Finding, applied int) {
	for _, m := range all {
		for _, f := range ignoredLines(m) {
			findings = append(findings, syntaxRule.finding(f))
		}
	}
	ours := services(all, o)
	for _, svc := range ours {
		for _, r := range rules() {
			for _, f := range r.found(svc) {
				findings = append(findings, r.finding(f))
			}
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return findings, len(ours)
}

func (r *rule) found(svc *service) []fault {
	if r.find == nil {
		return nil
	}
	return r.find(svc)
}

// Rules returns all rules, grouped by subject.
func Rules() []Rule {
	var all []Rule
	for _, r := range rules() {
		all = append(all, r.Rule)
	}
	return all
}

// rules returns all rules with their code.
func rules() []*rule {
	return slices.Concat(fileRules, nameRules, releaseRules, reloadRules, execRules, commandRules, processRules, storeRules, socketRules, pathRules, sandboxRules, privilegeRules,
		identityRules, outcomeRules, roomRules, endRules, softRebootRules, changeRules)
}
