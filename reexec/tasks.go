package reexec

import (
	"context"
	"sync"

	"github.com/cutover-go/cutover/reexec/internal/callback"
)

// tasks are the goroutines of an Upgrader, which Close waits for. Go starts one.
type tasks struct {
	sync.WaitGroup
	callbacks callback.Queues // run functions of the program
	life      context.Context // canceled when the loop releases everything
	endLife   context.CancelFunc
}

func newTasks() *tasks {
	t := &tasks{}
	t.life, t.endLife = context.WithCancel(context.Background())
	return t
}
