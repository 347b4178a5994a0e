// Package leak finds what tests leave behind. Only tests use it.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Check runs the tests, for TestMain, and returns their exit status, or 1 if they
// leave descriptors, or goroutines of this module or of package net/http. It needs
// /proc.
func Check(run func() int) int {
	if r, w, err := os.Pipe(); err == nil { // the runtime's poller comes with the first one, and stays
		r.Close()
		w.Close()
	}
	before := Descriptors()
	code := run()
	// A goroutine that was waited for may still exit, and net/http waits for none of its
	// goroutines. A timer may start one after the last look, which is not a leak.
	stacks := goroutines()
	for end := time.Now().Add(10 * time.Second); len(stacks) > 1 && time.Now().Before(end); stacks = goroutines() {
		runtime.Gosched()
	}
	if len(stacks) != 1 { // the one that asks
		fmt.Printf("goroutines left:\n%s\n", strings.Join(stacks, "\n\n"))
		code = 1
	}
	if after := settled(before); len(after) != len(before) {
		fmt.Printf("descriptors before the tests: %q\nafter: %q\n", before, after)
		code = 1
	}
	return code
}

// settled returns the descriptors, once those are gone that package net keeps: it
// splices through pipes of a pool, which the garbage collector empties. What else is
// more than before is listed first, as the collector would close lost files as well.
func settled(before []string) (after []string) {
	all := Descriptors()
	others := slices.DeleteFunc(slices.Clone(all), isPipe)
	if len(others) != len(slices.DeleteFunc(slices.Clone(before), isPipe)) {
		return all
	}
	for end := time.Now().Add(10 * time.Second); len(all) != len(before) && time.Now().Before(end); {
		runtime.GC()
		all = Descriptors()
	}
	return all
}

func isPipe(open string) bool { return strings.Contains(open, " pipe:") }

// goroutines returns the stacks of those that are ours; package testing has some that
// end a little later.
func goroutines() []string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, "cutover-go/cutover") && !strings.Contains(stack, "net/http.")
	})
}

// Descriptors lists the descriptors of this process with their targets.
func Descriptors() (open []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		// The one that ReadDir used is gone.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, e.Name()+" "+target)
		}
	}
	return open
}
