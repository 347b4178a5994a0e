// Package cutover is the root of a library that lets a network daemon be replaced
// while it runs, the systemd way. It has no code of its own; start with
//
//   - reexec, which replaces the process, and reexec/rehttp, which serves HTTP
//     without losing a request to that;
//   - activation, what systemd hands a process: sockets and stored descriptors;
//   - notify, what a process tells systemd: readiness, state, descriptors to keep;
//   - units, the contract on paper: it writes, checks and explains unit files;
//   - examples, servers with their units that one could deploy.
package cutover
