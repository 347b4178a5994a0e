package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

const (
	// chaosPatience bounds the time until a service serves again after a step. It
	// includes the drain of a generation that serves instead of a dead successor.
	chaosPatience = 60 * time.Second
	// maxDescriptors and maxThreads bound a main process that has only its clients.
	maxDescriptors = 220
	maxThreads     = 40
)

// chaosPorts are the ports of TCP.
var chaosPorts = []string{"127.0.0.1:8080", "127.0.0.1:8443", "127.0.0.1:7070"}

// settle waits until the unit is active, its main process is a child of the manager and
// answers new connections at every port; from then on no other process may answer.
func (c *chaosSite) settle() about {
	c.Helper()
	var last error
	for began := time.Now(); time.Since(began) < chaosPatience; {
		a, err := c.serving()
		if err == nil {
			c.report.settled(time.Since(began))
			c.onlyOneAccepts(a)
			return a
		}
		last = err
		c.wait()
	}
	c.violate("no main process serves within %v: %v", chaosPatience, last)
	c.giveUp()
	return about{}
}

// serving returns the main process if it serves.
func (c *chaosSite) serving() (a about, err error) {
	if a, err = c.tryAbout(); err != nil {
		return a, err
	}
	if state, _ := c.unit(); state != fmt.Sprintf("active running %d", a.pid) {
		return a, fmt.Errorf("process %d answers, unit is %s", a.pid, state)
	}
	if _, err := c.machine.ReadProc(a.pid, "status"); err != nil {
		return a, err
	}
	return a, nil
}

// onlyOneAccepts asks on new connections who accepts them. A kill of the main process
// at that moment would be the step's own, which is over.
func (c *chaosSite) onlyOneAccepts(a about) {
	c.Helper()
	for range 5 {
		switch other, err := c.tryAbout(); {
		case err != nil:
			c.violate("%v serves, but a new connection fails: %v", a, err)
			return
		case other.pid != a.pid:
			c.violate("%v is the main process, and %v accepts", a, other)
			return
		}
	}
	if pid, err := c.whoAccepts(); err != nil || pid != a.pid {
		c.violate("%v is the main process, and a new session is answered by process %d: %v", a, pid, err)
		return
	}
	if parent := c.parent(a.pid); parent != 1 {
		c.violate("%v is a child of process %d, want the manager", a, parent)
	}
}

// rest waits until one process is left, and looks at its size.
func (c *chaosSite) rest() string {
	c.Helper()
	deadline := time.Now().Add(2*chaosDrain + chaosPatience)
	var all map[int]int
	for time.Now().Before(deadline) {
		if all = c.processes(); len(all) == 1 {
			break
		}
		if len(all) > 1 {
			c.awaitOne(slices.Collect(maps.Keys(all)), time.Second)
		}
	}
	a := c.settle()
	if len(all) != 1 {
		c.violate("%d processes are left of the unit: %v", len(all), slices.Sorted(maps.Values(all)))
		return "processes are left"
	}
	descriptors, threads := c.size(a.pid)
	c.report.sized(descriptors, threads)
	if descriptors > maxDescriptors || threads > maxThreads {
		c.violate("%v has %d descriptors and %d threads, want at most %d and %d", a, descriptors, threads, maxDescriptors, maxThreads)
	}
	if names := c.control(); !slices.Equal(names, []string{"control.sock"}) {
		c.violate("%v is left in the directory of the control socket", names)
	}
	return fmt.Sprintf("%v is alone, with %d descriptors and %d threads", a, descriptors, threads)
}

// reloadResult is the expected result of systemctl reload.
type reloadResult int

const (
	reloadSucceeds reloadResult = iota
	reloadFails
	reloadEither // a step has disturbed it, but it tells the truth
)

// judge holds the result of a reload against who serves before and after.
func (c *chaosSite) judge(told error, want reloadResult, before, after about) string {
	c.Helper()
	exit := (*machine.ExitError)(nil)
	if told != nil && !errors.As(told, &exit) && !errors.Is(told, context.Canceled) {
		c.violate("systemctl reload: %v", told)
	}
	upgraded := after.pid != before.pid
	switch {
	case told == nil && !upgraded:
		c.violate("the reload has succeeded, and %v still serves", after)
	case want == reloadSucceeds && told != nil:
		c.violate("the reload of a good program fails, and %v serves: %v", after, told)
	case want == reloadSucceeds && after.generation != before.generation+1:
		c.violate("%v serves after %v and a good reload", after, before)
	case want == reloadFails && told == nil:
		c.violate("the reload of a bad program succeeds, and %v serves", after)
	case want == reloadFails && upgraded:
		c.violate("%v serves after %v and a failed reload: %v", after, before, told)
	}
	c.report.reload(told == nil)
	return fmt.Sprintf("%s, %v serves", toldName(told), after)
}

func toldName(told error) string {
	if told != nil {
		return "the reload fails"
	}
	return "the reload succeeds"
}
