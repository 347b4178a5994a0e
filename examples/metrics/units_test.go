package main

import (
	"os"
	"testing"
)

func TestUnitsAreWhatTheProgramPrints(t *testing.T) {
	files, err := daemon().Units()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile("units/" + f.Name)
		if err != nil || string(text) != f.Text {
			t.Errorf("units/%s is not what `units --print` prints (%v)", f.Name, err)
		}
	}
}
