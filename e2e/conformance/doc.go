// Package conformance holds packages activation and notify, and the fake manager
// of package upgradetest, to what systemd does: one suite of scenarios, the same
// code for the fake and for every real version.
//
//	go test ./e2e/conformance               # the host's own systemd, and the fake
//	go test ./e2e/conformance -matrix       # every version, see e2e/roots
//	go test ./e2e/conformance -systemd=257  # this one instead of the host's own
//	go test ./e2e/conformance -bench=. -run='^$'
//
// A scenario is the text of a unit, orders to the probe that the unit runs, and what
// `systemctl show` must say. The probe, in testdata/probe, is a daemon that uses the
// packages as any other would. Where versions differ, a table in the code says from
// when on, and the scenarios expect what it says; VERSIONS.md is that table.
package conformance
