//go:build !linux

package remqtt

func haltAt(step) {}
