package notify

import (
	"context"
	"errors"
	"os"
	"time"
)

// interruptible runs wait, which blocks on a descriptor, and makes it return when
// ctx ends, by a deadline in the past that setDeadline sets. It returns the
// cause of ctx then, and leaves the descriptor without a deadline.
func interruptible(ctx context.Context, setDeadline func(time.Time) error, wait func() error) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = setDeadline(time.Unix(1, 0)) // fails on a closed descriptor only, which wakes wait as well
		close(interrupted)
	})
	err := wait()
	if !stop() {
		<-interrupted
		_ = setDeadline(time.Time{}) // as above
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}
