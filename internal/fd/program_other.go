//go:build !linux

package fd

// ExecPath returns "".
func ExecPath() string { return "" }
