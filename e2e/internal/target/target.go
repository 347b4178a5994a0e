// Package target is the handler of the servers under load. It answers every request of
// a [load.Class].
package target

import (
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/ws"
)

// flushed is the number of bytes of a stream that go out at a time.
const flushed = 4 << 10

// buffers are for what io.Copy would make 32 KiB of garbage for, with each request: in a
// process that has just started, the kernel has to find and clear every page of it.
var buffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// Handler answers as the program version and generation:
//
//	/                     after the whole body, with its length and sum
//	/pattern?bytes=N      with N bytes of load.Pattern after the first line
//	/stream?bytes=N&d=3s  with the same, in chunks, evenly over that time
//	/echo                 with a WebSocket
//	/mallocs              with how many objects this process has allocated
//
// An answer names the id= of the query of its request.
// It calls hold for as long as it has a hijacked connection.
func Handler(version string, generation int, hold func() (release func())) http.Handler {
	line := fmt.Sprintf("version=%s generation=%d pid=%d", version, generation, os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		sum := crc32.NewIEEE()
		buf := buffers.Get().(*[4 << 10]byte)
		defer buffers.Put(buf)
		n, _ := io.CopyBuffer(sum, r.Body, buf[:]) // a short body shows
		fmt.Fprintf(w, "%s bytes=%d sum=%08x%s\n", line, n, sum.Sum32(), id(r))
	})
	mux.HandleFunc("/pattern", func(w http.ResponseWriter, r *http.Request) {
		size, line := number(r, "bytes"), line+id(r)
		w.Header().Set("Content-Length", strconv.FormatInt(int64(len(line)+1)+size, 10))
		fmt.Fprintln(w, line)
		_, _ = io.Copy(w, load.Pattern(size)) // the client notices missing bytes
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("d"))
		fmt.Fprintln(w, line+id(r))
		stream(w, number(r, "bytes"), d)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		_ = ws.Echo(w, r, hold) // the client notices missing messages
	})
	mux.HandleFunc("/mallocs", func(w http.ResponseWriter, r *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(w, "%s mallocs=%d\n", line, m.Mallocs)
	})
	return mux
}

// id returns the field by which an answer names its request, empty if it has no id.
func id(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	if id := r.URL.Query().Get("id"); id != "" {
		return " id=" + id
	}
	return ""
}

func number(r *http.Request, name string) int64 {
	n, _ := strconv.ParseInt(r.FormValue(name), 10, 64) // those who ask are our own
	return n
}

// stream writes size bytes evenly over d.
func stream(w http.ResponseWriter, size int64, d time.Duration) {
	began, p := time.Now(), load.Pattern(size)
	for done := int64(0); done < size; {
		n, err := io.CopyN(w, p, min(flushed, size-done))
		if err != nil || http.NewResponseController(w).Flush() != nil {
			return // the client has gone
		}
		done += n
		time.Sleep(time.Until(began.Add(d * time.Duration(done) / time.Duration(size))))
	}
}
