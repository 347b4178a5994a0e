package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// bboltLoad has its requests counted. Each answer is another number, and none is left out.
func bboltLoad(address string, l *load.Load) error {
	var mu sync.Mutex
	seen, last := map[uint64]bool{}, uint64(0)
	count := func(c *http.Client) error {
		r, err := c.Post("http://"+address+"/", "text/plain", nil)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		var n uint64
		if _, err := fmt.Fscanln(r.Body, &n); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[n] {
			return fmt.Errorf("%d was answered twice", n)
		}
		seen[n], last = true, max(last, n)
		return nil
	}
	kept := make([]*http.Client, 8)
	for i := range kept {
		kept[i] = &http.Client{Transport: new(http.Transport)}
	}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l.Each("kept", len(kept), 50*time.Millisecond, func(i int) error { return count(kept[i]) })
	l.Each("new", 2, 50*time.Millisecond, func(int) error { return count(fresh) })
	l.Last = func() error {
		if uint64(len(seen)) != last {
			return fmt.Errorf("the database has %d requests, %d were answered", last, len(seen))
		}
		return nil
	}
	return nil
}
