// Package daemons has small servers of many protocols, each as two programs: the folder
// before has the server as its package shows it, and the folder after has the same server
// with package reexec. A test counts the lines between them.
package daemons
