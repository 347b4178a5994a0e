// Package running compares the units of a running systemd with their main processes. [Load] asks
// systemctl for a unit and reads its files, and [Unit.Outdated] returns the lines of which the main
// process has something else: by proc(5), by the bytes of the program, and by the STATUS= of the
// library. Settings that proc(5) does not show count by the time of the file.
package running
