package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

const (
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	configType   = "application/vnd.oci.image.config.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
)

// registryLoad pushes images to a registry as the OCI Distribution Specification says, and pulls
// each of them: small ones on connections that it keeps, ones with a new connection for each
// request, and large ones whose layer takes three seconds.
func registryLoad(address string, l *load.Load) error {
	kept, large := make([]*pusher, 4), make([]*pusher, 2)
	for i := range kept {
		kept[i] = &pusher{address: address}
	}
	for i := range large {
		large[i] = &pusher{address: address}
	}
	l.Each("kept", len(kept), 200*time.Millisecond, func(i int) error { return kept[i].image(fmt.Sprint("kept", i), 1, 0) })
	l.Each("new", 2, 200*time.Millisecond, func(i int) error {
		return (&pusher{address: address, fresh: true}).image(fmt.Sprint("new", i), 1, 0)
	})
	l.Each("large", len(large), 200*time.Millisecond, func(i int) error {
		return large[i].image(fmt.Sprint("large", i), 30, 100*time.Millisecond)
	})
	return nil
}

// pusher pushes images over one connection, which it opens again when an answer says close. It
// sends nothing twice.
type pusher struct {
	address string
	fresh   bool // each request has a new connection
	conn    net.Conn
	in      *bufio.Reader
	pushed  int
}

// image pushes an image with a layer of parts times 64 KiB, one in each interval, and pulls it.
func (p *pusher) image(name string, parts int, interval time.Duration) error {
	p.pushed++
	layer := make([]byte, parts<<16)
	_, _ = rand.Read(layer) // never fails
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, digest(layer))
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		manifestType, configType, digest(config), len(config), layerType, digest(layer), len(layer))
	path := "/v2/" + name + "/"
	if err := errors.Join(p.blob(path, layer, interval), p.blob(path, config, 0)); err != nil {
		return err
	}
	tag := fmt.Sprint(path, "manifests/", p.pushed)
	if _, _, err := p.ask(http.MethodPut, tag, manifestType, bytes.NewReader(manifest), len(manifest), http.StatusCreated); err != nil {
		return err
	}
	_, got, err := p.ask(http.MethodGet, tag, "", nil, 0, http.StatusOK)
	if err == nil && !bytes.Equal(got, manifest) {
		err = errors.New("another manifest")
	}
	if err != nil {
		return err
	}
	_, got, err = p.ask(http.MethodGet, path+"blobs/"+digest(layer), "", nil, 0, http.StatusOK)
	if err == nil && !bytes.Equal(got, layer) {
		err = errors.New("another layer")
	}
	return err
}

// blob uploads data with three requests.
func (p *pusher) blob(path string, data []byte, interval time.Duration) error {
	upload, _, err := p.ask(http.MethodPost, path+"blobs/uploads/", "", nil, 0, http.StatusAccepted)
	if err != nil {
		return err
	}
	slow := &slowly{data: data, interval: interval}
	upload, _, err = p.ask(http.MethodPatch, upload.RequestURI(), "application/octet-stream", slow, len(data), http.StatusAccepted)
	if err != nil {
		return err
	}
	query := upload.Query()
	query.Set("digest", digest(data))
	upload.RawQuery = query.Encode()
	_, _, err = p.ask(http.MethodPut, upload.RequestURI(), "application/octet-stream", nil, 0, http.StatusCreated)
	return err
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// slowly returns 64 KiB in each interval.
type slowly struct {
	data     []byte
	interval time.Duration
}

func (s *slowly) Read(b []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.interval)
	n := copy(b, s.data[:min(len(s.data), 1<<16)])
	s.data = s.data[n:]
	return n, nil
}
