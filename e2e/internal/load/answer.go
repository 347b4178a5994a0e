package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// lineLimit bounds the kept part of an answer: its first line names the server.
const lineLimit = 512

// An answer is the parsed first line of a response.
type answer struct {
	complete   bool // read to its last byte; set also for some failures
	closes     bool // the connection ends with it
	version    string
	generation string
	id         string
	pid        int
}

// readAnswer reads one answer to the end. An answer that comes with a failure
// may be complete; then the connection can carry the next request. The failure
// of an incomplete one says Malformed, whatever ended it.
func (c *class) readAnswer(br *bufio.Reader, q *request) (answer, *Failure) {
	resp, err := http.ReadResponse(br, c.asked)
	if err != nil {
		return answer{}, &Failure{Kind: Malformed, Err: err}
	}
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		// It would end with the connection, and so look complete when cut short.
		err := errors.New("an answer with neither Content-Length nor chunks has no provable end")
		return answer{}, &Failure{Kind: Malformed, Err: err}
	}
	line, wrong, err := c.readBody(resp.Body, q)
	if err != nil {
		return answer{}, &Failure{Kind: Malformed, Err: fmt.Errorf("read body: %w", err)}
	}
	a := answer{complete: true, closes: resp.Close || c.Conns == 0}
	if resp.StatusCode != c.Status {
		err := fmt.Errorf("status %s instead of %d: %q", resp.Status, c.Status, line)
		return a, &Failure{Kind: BadStatus, Err: err}
	}
	if wrong == nil {
		wrong = c.check(&a, line, q)
	}
	if wrong != nil {
		return a, &Failure{Kind: Malformed, Err: wrong}
	}
	return a, nil
}

// readBody reads body to its end. It returns the first line, and an error if the rest is
// wrong.
func (c *class) readBody(body io.Reader, q *request) (line string, wrong, err error) {
	if c.Answer > 0 {
		return readPattern(body, c.Answer, q.due, c.Slowly)
	}
	head, err := io.ReadAll(io.LimitReader(body, lineLimit))
	if err != nil {
		return "", nil, err
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return "", nil, err
	}
	line, _, _ = strings.Cut(string(head), "\n")
	return line, nil, nil
}

// check reads the line of the answer to q, and reports what is wrong with it.
func (c *class) check(a *answer, line string, q *request) error {
	if err := a.parse(line, len(c.Body), c.sum); err != nil && !c.AnyText {
		return err
	}
	if q.id != "" && a.id != q.id {
		return fmt.Errorf("the answer to request %s names %q", q.id, a.id)
	}
	return nil
}

// parse reads a line like "version=v2 generation=3 pid=4711 bytes=10". Each part
// may be missing; bytes and sum must agree with the request.
func (a *answer) parse(line string, sent int, sum string) (err error) {
	for field := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "version":
			a.version = value
		case "id":
			a.id = value
		case "generation":
			a.generation = value
		case "pid":
			a.pid, _ = strconv.Atoi(value) // 0 for a server that names its process otherwise
		case "sum":
			if value != sum {
				err = fmt.Errorf("the server read a body with sum=%s instead of %s", value, sum)
			}
		case "bytes":
			if value != strconv.Itoa(sent) {
				err = fmt.Errorf("the server read bytes=%s of a body of %d", value, sent)
			}
		}
	}
	return err
}
