// Package unitfile reads the syntax of systemd's unit files: sections and assignments with
// their lines, words and command lines, time spans, sizes, booleans and specifiers.
//
// It knows no setting. Package units gives the settings a meaning for the rules, and
// e2e/upgradetest for a manager. Where two readings are possible, that of systemd's own code
// decides: tests compare time spans with systemd-analyze, and a story in e2e asks systemd for words,
// a time span and a size.
//
// See systemd.syntax(7), systemd.time(7), and "Specifiers" in systemd.unit(5).
package unitfile
