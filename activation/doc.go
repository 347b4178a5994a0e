// Package activation takes over the file descriptors that a service manager hands
// to a program when it starts it.
package activation
