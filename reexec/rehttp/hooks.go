package rehttp

import (
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// This file runs the functions of http.Server.RegisterOnShutdown when a drain begins, because
// they end long answers, for which the drain waits. net/http runs them in Shutdown only. An early
// Shutdown is no way: it ends the accept loop, closes idle connections and drops pipelined
// requests. So the functions are taken out of the server, where net/http has them in an
// unexported field. A version of net/http without that field runs them in Shutdown as before.

// runHooks runs the functions that the program has registered until now, as Shutdown does. If this
// generation serves again and drains later, it runs them again.
func (t *tracker) runHooks() {
	t.hooks = append(t.hooks, takeHooks(t.srv)...)
	for _, hook := range t.hooks {
		go t.guard("a function of RegisterOnShutdown", hook) // ends with the function, which is the program's
	}
}

// takeHooks removes and returns the functions that the program has registered. It leaves those of
// net/http and of golang.org/x/net, which would send GOAWAY on all connections at once.
func takeHooks(srv *http.Server) (hooks []func()) {
	mu, all := field[sync.Mutex](srv, "mu"), field[[]func()](srv, "onShutdown")
	if mu == nil || all == nil {
		return nil
	}
	mu.Lock()
	defer mu.Unlock()
	var left []func()
	for _, f := range *all {
		if isOfHTTP2(f) {
			left = append(left, f)
		} else {
			hooks = append(hooks, f)
		}
	}
	*all = left
	return hooks
}

// field returns the unexported field of srv called name, nil if srv has no such field of type T.
func field[T any](srv *http.Server, name string) *T {
	f := reflect.ValueOf(srv).Elem().FieldByName(name)
	if !f.IsValid() || f.Type() != reflect.TypeFor[T]() {
		return nil
	}
	return reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Interface().(*T)
}

// isOfHTTP2 reports whether f is the function of an HTTP/2 stack.
func isOfHTTP2(f func()) bool {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return slices.ContainsFunc([]string{"net/http.", "net/http/", "golang.org/x/net/http2."}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}
