//go:build !linux

package recorder

import "runtime"

func kernel() string { return runtime.GOOS }
