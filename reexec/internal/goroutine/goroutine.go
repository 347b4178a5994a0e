// Package goroutine tells goroutines apart.
package goroutine

// An ID is that of one goroutine among all that live. A goroutine that begins later
// can have the ID of one that has ended.
type ID uintptr
