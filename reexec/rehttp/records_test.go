//go:build linux

package rehttp

import (
	"slices"
	"testing"
)

func TestRecordsFindTheEndOfAHandshake(t *testing.T) {
	record := func(kind byte, size int) []byte {
		return append([]byte{kind, 3, 3, byte(size >> 8), byte(size)}, make([]byte, size)...)
	}
	tests := map[string]struct {
		bytes []byte
		want  [2]int64
	}{
		"TLS 1.3":        {slices.Concat(record(22, 300), record(20, 1), record(23, 53), record(23, 20), record(23, 5)), [2]int64{311, 369}},
		"TLS 1.2":        {slices.Concat(record(22, 300), record(22, 70), record(20, 1), record(22, 40), record(23, 20)), [2]int64{431, 0}},
		"half a record":  {slices.Concat(record(22, 300), record(23, 53), record(23, 20)[:7]), [2]int64{305, 363}},
		"an empty one":   {slices.Concat(record(22, 300), record(23, 0), record(23, 1)), [2]int64{305, 310}},
		"a PROXY header": {slices.Concat([]byte("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"), record(22, 3), record(23, 1)), [2]int64{}},
	}
	for name, tt := range tests {
		for size := 1; size <= len(tt.bytes); size++ {
			r := &records{}
			for p := range slices.Chunk(tt.bytes, size) {
				r.follow(p)
			}
			if got := [2]int64{r.at[0].Load(), r.at[1].Load()}; got != tt.want {
				t.Errorf("%s in pieces of %d bytes: %v, want %v", name, size, got, tt.want)
			}
		}
	}
}
