//go:build !faultpoints || !linux

package fault

// At does nothing in this build.
func At(Point) {}
