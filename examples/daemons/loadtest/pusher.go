package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// ask sends a request and returns the Location and the body of its answer, whose status must be
// want.
func (p *pusher) ask(method, uri, kind string, body io.Reader, size, want int) (*url.URL, []byte, error) {
	what := fmt.Sprintf("%s %.40s: ", method, uri)
	r, err := http.NewRequest(method, "http://"+p.address+uri, body)
	if err != nil {
		return nil, nil, err
	}
	r.ContentLength, r.Close = int64(size), p.fresh
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	} else {
		r.Header.Set("Accept", manifestType)
	}
	a, text, err := p.exchange(r)
	if err != nil {
		return nil, nil, fmt.Errorf("%s%w", what, err)
	}
	if a.StatusCode != want {
		return nil, nil, fmt.Errorf("%s%s: %.200s", what, a.Status, text)
	}
	location, err := r.URL.Parse(a.Header.Get("Location"))
	return location, text, err
}

func (p *pusher) exchange(r *http.Request) (*http.Response, []byte, error) {
	if p.conn == nil {
		c, err := net.Dial("tcp", p.address)
		if err != nil {
			return nil, nil, err
		}
		p.conn, p.in = c, bufio.NewReader(c)
	}
	if err := r.Write(p.conn); err != nil {
		return nil, nil, err
	}
	a, err := http.ReadResponse(p.in, r)
	if err != nil {
		return nil, nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if a.Close || p.fresh {
		p.conn.Close()
		p.conn = nil
	}
	return a, text, err
}
