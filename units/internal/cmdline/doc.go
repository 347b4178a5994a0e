// Package cmdline reads the command lines of unit files: the words and prefixes of a command, the
// steps of a shell's line, the program that a wrapper such as env or a script executes in the
// end, its user, and the signals that a command sends.
//
// [Parse] takes a command apart, [Command.Steps] the line that a shell reads, and [Follow] goes
// from one program to the next until the daemon or an [Obstacle].
//
// It knows no unit. The rules of package units give the commands a meaning.
package cmdline
