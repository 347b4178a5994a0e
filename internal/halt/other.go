//go:build !linux

// Package halt stops the processes of a test. It is for Linux.
package halt

// Main runs run.
func Main(_, run func() int) int { return run() }
