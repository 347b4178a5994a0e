// Package cutover is the root of a library that replaces a network daemon while it runs,
// the systemd way. The root contains no code. Start with
//
//   - reexec, which replaces the process, and reexec/rehttp, which serves HTTP and loses
//     no request to an upgrade;
//   - activation, which receives sockets and stored descriptors from systemd;
//   - notify, which sends readiness, state and descriptors to systemd;
//   - units, which writes, checks and explains unit files;
//   - examples, which has servers with their units.
package cutover
