package load_test

import (
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// large is the size of the bodies.
const large = 1 << 20

func body(t testing.TB) []byte {
	t.Helper()
	b, err := io.ReadAll(load.Pattern(large))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLargeBodyIsWrittenSlowlyAndChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := body(t)
		var took atomic.Int64
		dial := inMemory(func(p *peer) {
			for {
				r, err := http.ReadRequest(p.br)
				if err != nil {
					return
				}
				began := time.Now()
				sum := crc32.NewIEEE()
				n, _ := io.Copy(sum, r.Body)
				took.Store(int64(time.Since(began)))
				p.answer(fmt.Sprintf("%s bytes=%d sum=%08x", line, n, sum.Sum32()))
			}
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
			{Name: "upload", Rate: 0.1, Count: 2, Conns: 1, Body: data, Slowly: 3 * time.Second},
		}})).Classes[0]
		wantFailures(t, s, nil)
		if d := time.Duration(took.Load()); s.Answered != 2 || s.Dials != 1 || s.Latency.Max() != 0 || d < 2900*time.Millisecond || d > 3*time.Second {
			t.Errorf("answered %d on %d connections, latency %v, each took %v; want 2 on 1, 0s, some 3s", s.Answered, s.Dials, s.Latency.Max(), d)
		}
	})
}

func TestBodyThatTheServerHasNotReadAsItWasIsMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			p.request()
			p.answer(line + " sum=deadbeef")
		})
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{{Rate: 1, Count: 1, Body: []byte("hello")}}})).Classes[0]
		wantFailures(t, s, map[load.Kind]int{load.Malformed: 1})
	})
}

func TestUploadThatTheServerCutsIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) { io.CopyN(io.Discard, p, large/2) })
		s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
			{Name: "upload", Rate: 1, Count: 3, Body: body(t), Slowly: time.Second},
		}})).Classes[0]
		wantFailures(t, s, map[load.Kind]int{load.NoAnswer: 3})
	})
}

func TestLargeAnswerIsReadSlowlyAndEachByteChecked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(b []byte) []byte // what follows the line
		sends int                   // of what is announced, 0 for all
		want  map[load.Kind]int
	}{
		{"whole", func(b []byte) []byte { return b }, 0, nil},
		{"short", func(b []byte) []byte { return b[:large-8] }, 0, map[load.Kind]int{load.Malformed: 1}},
		{"long", func(b []byte) []byte { return append(b, 0) }, 0, map[load.Kind]int{load.Malformed: 1}},
		{"with a part missing", func(b []byte) []byte { return append(b[8:], b[:8]...) }, 0, map[load.Kind]int{load.Malformed: 1}},
		{"with a wrong byte", func(b []byte) []byte { b[large/2]++; return b }, 0, map[load.Kind]int{load.Malformed: 1}},
		{"nothing", func(b []byte) []byte { return nil }, 0, map[load.Kind]int{load.Malformed: 1}},
		{"cut", func(b []byte) []byte { return b }, large / 2, map[load.Kind]int{load.Truncated: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := append([]byte(line+"\n"), tt.spoil(body(t))...)
				dial := inMemory(func(p *peer) {
					if !p.request() {
						return
					}
					fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(text))
					if tt.sends > 0 {
						text = text[:tt.sends]
					}
					p.Write(text)
				})
				s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
					{Name: "download", Rate: 1, Count: 1, Answer: large, Slowly: 3 * time.Second},
				}})).Classes[0]
				wantFailures(t, s, tt.want)
				if tt.want == nil && (s.Latency.Max() > 100*time.Millisecond || s.Generations["1"] != 1) {
					t.Errorf("latency %v, generations %v; want what it takes longer than 3s, generation 1", s.Latency.Max(), s.Generations)
				}
			})
		})
	}
}
