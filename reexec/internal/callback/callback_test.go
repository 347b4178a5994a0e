package callback_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/callback"
)

func TestRunReturnsTheResultOrTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, f := range map[string]func() (int, error){
			"bad input":               func() (int, error) { return 0, errors.New("bad input") },
			"f panicked: no file":     func() (int, error) { panic("no file") },
			"f has ended its":         func() (int, error) { runtime.Goexit(); return 0, nil },
			"f has not returned: its": func() (int, error) { time.Sleep(time.Hour); return 0, nil },
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("its time is over"))
			_, err := callback.Run(ctx, slog.New(slog.DiscardHandler), "f", f)
			cancel()
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Run = %v, want %q", err, want)
			}
		}
		got, err := callback.Run(t.Context(), slog.New(slog.DiscardHandler), "f", func() (int, error) { return 3, nil })
		if got != 3 || err != nil {
			t.Errorf("Run = %d, %v, want 3", got, err)
		}
		time.Sleep(time.Hour) // the slow function ends
	})
}

func TestQueueRunsInOrderAfterGoexit(t *testing.T) {
	var q callback.Queue
	var ran []int
	for i := range 5 {
		q.AddAlways(func() {
			ran = append(ran, i)
			if i == 2 {
				runtime.Goexit()
			}
		})
	}
	q.Wait(time.Minute)
	if want := []int{0, 1, 2, 3, 4}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
}

func TestFullQueueDropsWithoutWaiting(t *testing.T) {
	var q callback.Queue
	release := make(chan struct{})
	q.AddAlways(func() { <-release })
	added := 0
	for q.Add(func() {}) {
		added++
	}
	if added < 1000 {
		t.Errorf("the queue takes %d functions, want thousands", added)
	}
	close(release)
	q.Wait(time.Minute)
}

func TestWaitEndsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q callback.Queues
		release := make(chan struct{})
		q.Limits.AddAlways(func() { <-release })
		began := time.Now()
		q.Wait()
		if took := time.Since(began); took != callback.Grace {
			t.Errorf("Wait took %v, want %v", took, callback.Grace)
		}
		close(release)
	})
}

func TestPanicOfALogHandlerIsContained(t *testing.T) {
	var q callback.Queue
	lines := 0
	log := slog.New(callback.NewLog(handler(func(r slog.Record) {
		if lines++; r.Message == "bad" {
			panic("disk full")
		}
	}), &q))
	log.Info("bad")
	log.Info("good")
	q.Wait(time.Minute)
	if lines != 2 {
		t.Errorf("%d lines, want 2", lines)
	}
}

type handler func(slog.Record)

func (h handler) Enabled(context.Context, slog.Level) bool      { return true }
func (h handler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handler) WithGroup(string) slog.Handler                 { return h }
