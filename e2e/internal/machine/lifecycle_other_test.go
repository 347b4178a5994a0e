//go:build !linux

package machine_test

const ownerVariable = ""

func ownMachine() {}
