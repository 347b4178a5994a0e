package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
	"github.com/cutover-go/cutover/internal/needs"
)

// sample is a minute of load with three processes and ten lost requests.
func sample() *record.Report {
	r := &record.Report{Title: "web.service <test>", Began: time.Unix(1700000000, 0).UTC(), Elapsed: time.Minute,
		Environment: record.Environment{Manager: "systemd 252", Kernel: "Linux 6", Go: "go1.26", Processors: 2},
		Loads:       []record.Load{{Name: "new connections", Rate: 660}},
		Events: []record.Event{
			{Kind: record.Reload, At: 20 * time.Second, Done: 20200 * time.Millisecond, Drained: 22 * time.Second, Before: 10, After: 20, Text: "v2"},
			{Kind: record.Reload, At: 30 * time.Second, Done: 30100 * time.Millisecond, Before: 20, After: 20, Text: "broken", Error: "exit status 1"},
			{Kind: record.Kill, At: 40 * time.Second, Done: 40300 * time.Millisecond, Before: 20, After: 30},
		}}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40000 {
		due := time.Duration(i) * time.Minute / 40000
		q := record.Request{Due: due, Took: time.Duration(float64(time.Millisecond) * (0.3 + random.ExpFloat64()))}
		q.PID, q.Generation = 10, 1
		if due > 20*time.Second {
			q.PID, q.Generation = 20, 2
		}
		if due > 40*time.Second {
			q.PID, q.Generation = 30, 1
		}
		if i > 26670 && i <= 26680 {
			q = record.Request{Due: due, Took: 2 * time.Millisecond, Failure: record.Reset, Error: "connection reset by peer"}
		}
		r.Requests = append(r.Requests, q)
	}
	for at := time.Duration(0); at < time.Minute; at += 250 * time.Millisecond {
		r.Samples = append(r.Samples, record.Sample{At: at, PID: r.MainAt(at), Descriptors: 40, Memory: 12 << 20})
	}
	return r
}

// drawn writes the page of r to a file.
func drawn(t *testing.T, r *record.Report) (file, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := writePage(&b, r); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, b.String()
}

func TestPageOfAMinuteIsSmallAndNeedsNoNetwork(t *testing.T) {
	_, text := drawn(t, sample())
	if len(text) > 3<<20 {
		t.Errorf("the page has %d bytes, want 3 MB at most", len(text))
	}
	t.Logf("%d bytes", len(text))
	for _, loads := range []string{"src=", "href=\"", "@import", "<script", "url("} {
		if strings.Contains(text, loads) {
			t.Errorf("the page has %q", loads)
		}
	}
	if !strings.Contains(text, "web.service &lt;test&gt;") {
		t.Error("the title is not escaped")
	}
}

func TestPictureOfAnUpgradeIsSmallAndCountsItsRequests(t *testing.T) {
	var b bytes.Buffer
	if err := writePicture(&b, sample()); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 150<<10 {
		t.Errorf("the picture has %d bytes, want 150 KB at most", b.Len())
	}
	if err := xml.Unmarshal(b.Bytes(), new(struct{})); err != nil {
		t.Errorf("the picture is not XML: %v", err)
	}
	for _, want := range []string{">An upgrade under load: 3,133 requests, none lost<", ">systemctl reload: 200 ms<", "660 requests a second on systemd 252", "prefers-color-scheme:dark"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the picture has no %q", want)
		}
	}
	if err := writePicture(&b, &record.Report{}); err == nil {
		t.Error("a report without an upgrade makes a picture")
	}
}

func TestTheFirstLineOfThePageHasAFailedStory(t *testing.T) {
	r := sample()
	r.Stories = []record.Story{
		{Name: "units", Verdict: record.Failed, Reason: "a line"},
		{Name: "restart", Verdict: record.Passed, Requests: 40000, Excused: 10},
		{Name: "hang in the start", Verdict: record.Skipped},
	}
	_, text := drawn(t, r)
	if want := `<p class="verdict bad">1 of 2 stories failed; 0 of 40,000 requests lost in 1 upgrade, 1 refused; 1 kill cost 10</p>`; !strings.Contains(text, want) {
		t.Errorf("the page has no %q", want)
	}
	if at := strings.Index(text, "a line"); at < 0 || at > strings.Index(text, `id="timeline"`) {
		t.Error("the reason does not stand before the figures")
	}
	r.Stories[0].Verdict = record.Passed
	if _, text := drawn(t, r); !strings.Contains(text, `<p class="verdict good">2 stories passed; 0 of 40,000 `) {
		t.Error("the page of two stories that passed has another verdict")
	}
}

func TestReportsWithoutPartsAreDrawn(t *testing.T) {
	for name, r := range map[string]*record.Report{
		"nothing": {}, "no event": {Elapsed: time.Second, Loads: []record.Load{{}}, Requests: []record.Request{{Took: time.Millisecond}}},
		"all lost": {Elapsed: time.Second, Requests: []record.Request{{Failure: record.Refused}}},
	} {
		if _, text := drawn(t, r); !strings.Contains(text, "</html>") {
			t.Errorf("%s: the page has no end", name)
		}
	}
}

// TestProgramsWriteAPage writes it as the demo does, by the go command.
func TestProgramsWriteAPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	if err := recorder.Write(t.Context(), file, sample()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "</html>") {
		t.Errorf("%d bytes without an end, %v", len(text), err)
	}
}

// TestChromiumShowsThePointsTheMarksAndTheLegend looks at the document as a browser has
// parsed it, and at the pixels.
func TestChromiumShowsThePointsTheMarksAndTheLegend(t *testing.T) {
	browser := needs.Program(t, "chromium")
	r := sample()
	file, _ := drawn(t, r)
	shot := filepath.Join(t.TempDir(), "page.png")
	document := chromium(t, browser, "--window-size=1200,2600", "--screenshot="+shot, "--dump-dom", "file://"+file)
	d := digest.Of(r)
	for _, want := range []string{
		"0 of 40,000 requests lost in 1 upgrade, 1 refused; 1 kill cost 10",
		"generation 1, process 10: 13,334", "<h2>Upgrade 1 in detail, the one with the latest answer", "generation 2, process 20", "generation 1, process 30", "lost: 10",
		">1 reload</text>", ">2 refused</text>", ">kill</text>", "connection reset by peer", "exit status 1", "systemd 252",
	} {
		if !strings.Contains(document, want) {
			t.Errorf("the document has no %q", want)
		}
	}
	if n := strings.Count(document, "<svg"); n != 5 {
		t.Errorf("%d figures, want 5", n)
	}
	for i := range d.Generations {
		if n := pixels(t, shot, generation(i)); n < 200 {
			t.Errorf("%d pixels have the colour of generation %d, want many", n, i+1)
		}
	}
	if n := pixels(t, shot, danger); n < 10 { // the edges of a cross are lighter
		t.Errorf("%d pixels have the colour of lost requests, want some", n)
	}
}

func chromium(t *testing.T, browser string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir()}, args...)
	cmd := exec.CommandContext(ctx, browser, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &stderr)
	}
	return string(out)
}

// pixels counts the pixels of a colour.
func pixels(t *testing.T, file string, want color.NRGBA) (n int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			if fmt.Sprint(color.NRGBAModel.Convert(img.At(x, y))) == fmt.Sprint(want) {
				n++
			}
		}
	}
	return n
}
