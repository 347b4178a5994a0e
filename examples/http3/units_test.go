package main

import (
	"os"
	"testing"
)

func TestUnitsAreWhatTheProgramPrints(t *testing.T) {
	files, err := daemon.Units()
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if text, err := os.ReadFile("units/" + f.Name); err != nil || string(text) != f.Text {
			t.Errorf("units/%s is not what `http3 units` prints: %v", f.Name, err)
		}
	}
}
