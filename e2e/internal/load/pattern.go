package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// pieceSize is the number of bytes of a slow body that are written or read at once.
const pieceSize = 32 << 10

// Pattern returns size bytes of which each says where it belongs: a part that is
// missing, repeated or out of order shows.
func Pattern(size int64) io.Reader { return &pattern{size: size} }

// A pattern counts up in words of eight bytes.
type pattern struct{ at, size int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.size-p.at)]
	var word [8]byte
	for n := 0; n < len(b); {
		binary.BigEndian.PutUint64(word[:], uint64(p.at/8))
		m := copy(b[n:], word[p.at%8:])
		p.at += int64(m)
		n += m
	}
	return len(b), nil
}

// readPattern reads a line and size bytes of Pattern, evenly over duration since due,
// to the end of body. The first error reports wrong bytes, the second one that the end
// was not reached.
func readPattern(body io.Reader, size int64, due time.Time, duration time.Duration) (line string, wrong, err error) {
	br := bufio.NewReaderSize(body, pieceSize)
	line, err = br.ReadString('\n')
	if err == io.EOF { // a whole answer with something else in it
		return line, errors.New("the answer ends within its first line"), nil
	}
	if err != nil {
		return "", nil, err
	}
	want := Pattern(size)
	var got, piece [pieceSize]byte
	var read int64
	for err == nil {
		var n int
		n, err = br.Read(got[:])
		m, _ := io.ReadFull(want, piece[:n]) // fails only by being shorter
		if wrong == nil && !bytes.Equal(got[:n], piece[:m]) {
			wrong = fmt.Errorf("wrong bytes within %d after byte %d of the answer", n, read)
		}
		read += int64(n)
		pause(due, duration, float64(read)/float64(size))
	}
	if err != io.EOF {
		return "", nil, err
	}
	if wrong == nil && read != size {
		wrong = fmt.Errorf("the answer has %d bytes instead of %d", read, size)
	}
	return strings.TrimSuffix(line, "\n"), wrong, nil
}

// writeSlowly writes data evenly, so that it ends duration after due. It calls last
// before the last piece: after it the answer may be there at any time.
func writeSlowly(w io.Writer, data []byte, due time.Time, duration time.Duration, last func()) error {
	for written := 0; written < len(data); written += pieceSize {
		end := min(len(data), written+pieceSize)
		pause(due, duration, float64(end)/float64(len(data)))
		if end == len(data) {
			last()
		}
		if _, err := w.Write(data[written:end]); err != nil {
			return err
		}
	}
	return nil
}

// pause waits until the given part of duration since due is over. No longer than a
// second at a time, which bounds how late the end of the run is noticed.
func pause(due time.Time, duration time.Duration, part float64) {
	time.Sleep(min(time.Second, time.Until(due.Add(time.Duration(part*float64(duration))))))
}
