// Package conformance compares packages activation and notify, and the fake manager of
// package upgradetest, with the behaviour of systemd. One suite of scenarios runs on
// the fake and on every real version.
//
//	go test ./e2e/conformance               # all scenarios on the fake, some on the host's own systemd
//	go test ./e2e/conformance -matrix       # every version, see e2e/roots
//	go test ./e2e/conformance -systemd=257  # this one instead of the host's own
//	go test ./e2e/conformance -bench=. -run='^$'
//
// A scenario is the text of a unit, calls of the probe that the unit runs, and the
// expected output of `systemctl show`. The probe, in e2e/internal/probe, is a daemon that
// uses the packages as any other would. Where versions differ, a table in the code
// has the first version of each behaviour; VERSIONS.md shows that table.
package conformance
