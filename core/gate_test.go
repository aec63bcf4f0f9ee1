package core

import (
	"strings"
	"testing"
	"time"
)

func TestParseGate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want   Gate
		prints string
	}{
		"off":                         {Gate{}, "off"},
		"motion":                      {Gate{Class: "motion"}, "motion"},
		"motion,hold=2s":              {Gate{Class: "motion", Hold: 2 * time.Second}, "motion, hold 2s"},
		"motion, hold=2s , every=10s": {Gate{"motion", 2 * time.Second, 10 * time.Second}, "motion, hold 2s, at least every 10s"},
		"at_least=1m30s":              {Gate{AtLeast: 90 * time.Second}, "at least every 1m30s"},
		"hold=1s,fallen person":       {Gate{Class: "fallen person", Hold: time.Second}, "fallen person, hold 1s"},
	}
	for text, tt := range tests {
		g, err := ParseGate(text)
		if err != nil || g != tt.want || g.String() != tt.prints || g.IsZero() != (text == "off") {
			t.Errorf("%q: %+v (%s), %v; want %+v (%s)", text, g, g, err, tt.want, tt.prints)
		}
	}
}

func TestParseGateRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                  "is not understood",
		"motion,":           "is not understood",
		"motion,face":       "is not understood",
		"motion,off":        "is not understood",
		"motion,speed=2s":   "is not understood",
		"hold=2s":           "nothing to hold for",
		"motion,hold=2":     "is not a time",
		"motion,hold=-2s":   "is not a time",
		"motion,every=0s":   "is not a time",
		"motion,every=soon": "is not a time",
	} {
		if g, err := ParseGate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want an error with %q", text, g, err, want)
		}
	}
}

func FuzzParseGate(f *testing.F) {
	for _, s := range []string{"off", "motion,hold=2s,every=10s", "every=1h", ",", "=", "hold=9999999h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if g, err := ParseGate(text); err == nil && g.Validate() != nil {
			t.Errorf("%q: %+v is not valid", text, g)
		}
	})
}

func TestGateValidate(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]Gate{
		"hold": {Class: "a", Hold: -1}, "at_least": {Class: "a", AtLeast: -1}, "class": {Hold: 1}, "begins or ends": {Class: " a"},
	} {
		d := Declaration{Name: "x", Version: "1", Input: Description{Size: SizeNone}, Output: Description{Size: SizeAll}, Gate: g}
		if err := d.Validate(); err == nil || !strings.Contains(err.Error(), "gate: ") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
