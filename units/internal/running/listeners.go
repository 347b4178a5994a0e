package running

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/listen"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// elsewhere returns a difference for each address of .socket unit s that the main process p does
// not listen on. A process whose sockets cannot be read, or that has none, has none.
func elsewhere(s *merged.Unit, p process) (all []Difference) {
	has := listen.EndpointsOf(p.pid)
	if len(has) == 0 {
		return nil
	}
	for _, a := range s.Listening() {
		wanted, ok := listen.EndpointOf(s, a)
		if ok && !slices.ContainsFunc(has, func(e listen.Endpoint) bool { return e.Serves(wanted) }) {
			all = append(all, differs(SocketDiffers, a, "%s=%s, the main process (%d) listens on %s, not there", a.Key, a.Value, p.pid, join(has))...)
		}
	}
	return all
}

func join(all []listen.Endpoint) string {
	words := make([]string, len(all))
	for i, e := range all {
		words[i] = e.String()
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " and ")
}
