// Package goroutine tells goroutines apart.
package goroutine

// An ID identifies a running goroutine. A new goroutine can have the ID of one that has
// ended.
type ID uintptr
