// Package units is the contract with systemd on paper: it writes the unit files of
// programs that are replaced while they run, checks those that people wrote, and
// says what will happen in an upgrade where one is wrong.
package units
