package generation

import (
	"context"

	"github.com/cutover-go/cutover/reexec/internal/proof"
)

// This file has the marks that show whether the manager takes the successor for the main process.

// PrepareMarks calls store on a goroutine of run, while the successor starts. The end of ctx or of
// the successor closes the marks.
func (s *Successor) PrepareMarks(ctx context.Context, run func(func()), store func() (*proof.Marks, error)) {
	s.marks = proof.Prepare(ctx, s.Process.Over(), run, store)
}

// TakeMarks returns the marks for the commit, once, and nil if there are none, see
// proof.Prepared.Take. It is called after EvPrepared.
func (s *Successor) TakeMarks(ctx context.Context, need func() bool) *proof.Marks {
	return s.marks.Take(ctx, s.acknowledges, need)
}

// DropMarks gives the marks up when the upgrade is undone.
func (s *Successor) DropMarks() { s.marks.Drop() }
