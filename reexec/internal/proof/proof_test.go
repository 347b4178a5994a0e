//go:build linux

package proof_test

import (
	"context"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/proof"
)

func TestAMarkIsGoneWhenItsOtherEndIsClosed(t *testing.T) {
	ours, theirs, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ours.Conn()
	if err != nil {
		t.Fatal(err)
	}
	m := proof.NewMark(conn)
	defer m.Close()
	go m.Wait() // ends with theirs
	_ = theirs.Close()
	<-m.Gone()
}

func TestACloseOfOurEndIsNoProof(t *testing.T) {
	ours, theirs, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	conn, err := ours.Conn()
	if err != nil {
		t.Fatal(err)
	}
	m := proof.NewMark(conn)
	m.Close()
	m.Wait()
	select {
	case <-m.Gone():
		t.Error("the manager has not closed its end")
	default:
	}
}

func TestWithoutMarksTheVerdictIsUnknown(t *testing.T) {
	var none *proof.Marks
	if v := none.Read(context.Background(), nil, proof.Successor{}); v != proof.Unknown {
		t.Errorf("Read = %v, want unknown", v)
	}
	none.Close()
}
