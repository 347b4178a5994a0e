// Package merged finds and reads unit files as systemd does: a unit with its drop-ins in their
// order, the lines of a setting that count, and the names of units.
//
// [Load] finds the files, [Group] puts the files of each unit together, and the methods of [Unit]
// answer which value a setting has and where it stands. The table of values is the one of
// systemd's own parsers: a line with a value that systemd refuses does not count.
//
// See systemd.unit(5).
package merged
