package rehttp

import (
	"bytes"
	"strconv"
)

// framing follows the bytes of a client and finds the ends of requests. It understands
// plain HTTP/1.1 only (RFC 9112), and less of it than net/http accepts. At the first bytes
// that two readers could interpret differently, framing is lost and stays lost.
//
// framing does not check start lines and header fields that net/http refuses, because
// net/http closes the connection then. It does check bodies, because net/http may go on
// reading after an invalid body.
//
// The zero value is the beginning of a connection.
type framing struct {
	step     step
	post     bool // the method of the last request was POST
	preface  bool // framing is lost because HTTP/2 has begun
	requests int  // number of requests that were read to their end

	left   int64 // remaining bytes of a body or a chunk
	length int64 // Content-Length of the request, if lengths is not 0
	excess int64 // bytes around the data of chunks, as net/http counts them
	extra  int   // bytes of trailer fields

	lengths, codings uint8 // number of Content-Length and Transfer-Encoding fields

	begun *line // the received part of an incomplete line, nil without one
}

type step uint8

const (
	startLine step = iota
	fieldLine
	bodyBytes
	chunkLine
	chunkBytes
	chunkEnd
	trailerLine
	isLost
)

// Limits for the bytes of a request around its data. Those of net/http are twice as high.
const (
	maxExcess  = 8 << 10
	maxTrailer = 2 << 10
)

func (f *framing) lost() bool { return f.step == isLost }

func (f *framing) lose() { f.step = isLost }

// between reports whether no byte was read since the end of a request.
func (f *framing) between() bool { return f.step == startLine && f.begun == nil }

// whole follows all bytes of p.
func (f *framing) whole(p []byte) {
	for len(p) > 0 && !f.lost() {
		p = p[f.upToEnd(p):]
	}
}

// upToEnd follows the bytes of p up to the end of a request, or all bytes without such an
// end. It returns their number.
func (f *framing) upToEnd(p []byte) (n int) {
	for n < len(p) {
		switch f.step {
		case bodyBytes, chunkBytes:
			k := min(f.left, int64(len(p)-n))
			n += int(k)
			if f.left -= k; f.left > 0 {
				continue
			}
			if f.step == bodyBytes {
				f.end()
				return n
			}
			f.step = chunkEnd
		case isLost:
			return len(p)
		default:
			i := bytes.IndexByte(p[n:], '\n')
			if i < 0 {
				f.begun = f.begun.with(p[n:])
				return len(p)
			}
			l := p[n : n+i+1]
			n += len(l)
			if f.step == fieldLine && f.begun == nil && indifferent(l) {
				continue
			}
			if f.takeLine(l) {
				return n
			}
		}
	}
	return n
}

// indifferent reports whether l is a header field without effect on framing. It is a fast
// check that recognises most such fields.
func indifferent(l []byte) bool {
	if len(l) <= len(crlf) || l[len(l)-2] != '\r' {
		return false
	}
	switch l[0] {
	case 'C', 'c', 'T', 't', ' ', '\t':
		return false
	}
	return true
}

func (f *framing) end() {
	f.step, f.requests = startLine, f.requests+1
	f.length, f.excess, f.extra, f.lengths, f.codings = 0, 0, 0, 0, 0
}

// takeLine follows the rest of a line and reports whether the line ends a request.
func (f *framing) takeLine(rest []byte) bool {
	text, end, size := rest, rest, len(rest)
	if f.begun != nil {
		text, end, size = f.begun.with(rest).parts()
		f.begun = nil
	}
	if !bytes.HasSuffix(end, crlf) {
		f.lose()
		return false
	}
	size -= len(crlf)
	text = text[:min(size, len(text))]
	cut := size > lineHead // the same for a line in one piece and in several
	switch f.step {
	case startLine:
		f.start(text, end)
	case fieldLine:
		if size == 0 {
			return f.endOfHeader()
		}
		f.field(text, cut)
	case chunkLine:
		f.chunk(text, cut)
	case chunkEnd:
		f.step = chunkLine
		if size > 0 {
			f.lose()
		}
	case trailerLine:
		if size == 0 {
			f.end()
			return true
		}
		f.trailer(text, cut)
	}
	return false
}

var (
	crlf       = []byte("\r\n")
	version    = []byte(" HTTP/1.1\r\n")
	connect    = []byte("CONNECT ")
	preface    = []byte("PRI * HTTP/2.0")
	post       = []byte("POST ")
	lengthName = []byte("Content-Length")
	codingName = []byte("Transfer-Encoding")
	chunked    = []byte("chunked")
)

func (f *framing) start(text, end []byte) {
	f.step = fieldLine
	f.post = bytes.HasPrefix(text, post)
	if !bytes.HasSuffix(end, version) || bytes.HasPrefix(text, connect) {
		f.preface = bytes.Equal(text, preface)
		f.lose()
	}
}

func (f *framing) field(text []byte, cut bool) {
	switch {
	case text[0] == ' ' || text[0] == '\t': // continues the preceding line
		f.lose()
	case named(text, lengthName):
		f.lengths++
		n, err := strconv.ParseUint(string(value(text, lengthName)), 10, 63) // does not allocate
		f.length = int64(n)
		if err != nil || cut || f.lengths > 1 {
			f.lose()
		}
	case named(text, codingName):
		f.codings++
		if cut || f.codings > 1 || !bytes.EqualFold(value(text, codingName), chunked) {
			f.lose()
		}
	}
}

func named(text, name []byte) bool {
	return len(text) > len(name) && text[len(name)] == ':' && bytes.EqualFold(text[:len(name)], name)
}

func value(text, name []byte) []byte { return bytes.TrimSpace(text[len(name)+1:]) }

func (f *framing) endOfHeader() (ended bool) {
	switch {
	case f.lengths > 0 && f.codings > 0:
		f.lose()
	case f.codings > 0:
		f.step = chunkLine
	case f.length > 0:
		f.step, f.left = bodyBytes, f.length
	default:
		f.end()
		return true
	}
	return false
}

// chunk parses the line before a chunk: its size in hexadecimal digits, then optional
// extensions.
func (f *framing) chunk(text []byte, cut bool) {
	digits, _, extended := bytes.Cut(text, []byte(";"))
	if !extended {
		digits = bytes.TrimRight(digits, " \t")
	}
	n, ok := hexadecimal(digits)
	f.excess = max(0, f.excess+int64(len(text)+len(crlf))-16-2*n)
	switch {
	case !ok || cut || bytes.IndexByte(text, '\r') >= 0 || f.excess > maxExcess:
		f.lose()
	case n == 0:
		f.step = trailerLine
	default:
		f.step, f.left = chunkBytes, n
	}
}

func hexadecimal(digits []byte) (n int64, ok bool) {
	for _, d := range digits {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, 0 < len(digits) && len(digits) <= 8
}

// trailer checks a field after a body.
func (f *framing) trailer(text []byte, cut bool) {
	f.extra += len(text) + len(crlf)
	name, value, ok := bytes.Cut(text, []byte(":"))
	ok = ok && len(name) > 0 && !cut && f.extra <= maxTrailer
	for _, b := range name {
		ok = ok && (b == '-' || '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z')
	}
	for _, b := range value {
		ok = ok && (b >= ' ' && b != 0x7f || b == '\t')
	}
	if !ok {
		f.lose()
	}
}

// lineHead is the length of the part of a line that framing looks at.
const lineHead = 128

// line holds the beginning, the end and the size of a line that arrives in several parts. It does
// not change, because a copy of a framing looks ahead.
type line struct {
	size int
	head [lineHead]byte
	tail [len(" HTTP/1.1\r\n")]byte
}

// with returns l with p behind it. A nil line is empty.
func (l *line) with(p []byte) *line {
	longer := line{}
	if l != nil {
		longer = *l
	}
	longer.add(p)
	return &longer
}

func (l *line) add(p []byte) {
	if l.size < len(l.head) {
		copy(l.head[l.size:], p)
	}
	if k := len(l.tail) - len(p); k > 0 {
		copy(l.tail[:k], l.tail[len(p):])
		copy(l.tail[k:], p)
	} else {
		copy(l.tail[:], p[-k:])
	}
	l.size += len(p)
}

// parts returns the beginning, the end and the size.
func (l *line) parts() (head, tail []byte, size int) {
	return l.head[:min(l.size, len(l.head))], l.tail[max(0, len(l.tail)-l.size):], l.size
}
