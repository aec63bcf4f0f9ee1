package core

import (
	"fmt"
	"strings"
	"time"
)

// Gate has a capsule run only while it is worth its cost. Times are measured in PTS, so that
// the same frames give the same results in every run. The zero value is no gate.
type Gate struct {
	Class   string        // it runs on frames in which another capsule has reported a node of this class; "": by AtLeast alone
	Hold    time.Duration // and so long after the last such frame
	AtLeast time.Duration // and whenever it has not run for so long, first of all on the first frame; 0: never without Class
}

// IsZero says whether it is no gate.
func (g Gate) IsZero() bool { return g == Gate{} }

// Validate refuses a gate that could not open, or times below zero. It names the field as it is
// spelled in capsule.yaml.
func (g Gate) Validate() error {
	switch {
	case g.Hold < 0:
		return fmt.Errorf("hold: %s is below 0", g.Hold)
	case g.AtLeast < 0:
		return fmt.Errorf("at_least: %s is below 0", g.AtLeast)
	case g.Class != strings.TrimSpace(g.Class):
		return fmt.Errorf("class: %q begins or ends with a space", g.Class)
	case g.Class == "" && g.Hold > 0:
		return fmt.Errorf("class: is empty, so there is nothing to hold for")
	default:
		return nil
	}
}

// String reads like "motion, hold 2s, at least every 10s".
func (g Gate) String() string {
	var parts []string
	if g.Class != "" {
		parts = append(parts, g.Class)
	}
	if g.Hold > 0 {
		parts = append(parts, "hold "+g.Hold.String())
	}
	if g.AtLeast > 0 {
		parts = append(parts, "at least every "+g.AtLeast.String())
	}
	if parts == nil {
		return "off"
	}
	return strings.Join(parts, ", ")
}

// ParseGate reads a gate from the command line: "off", or a class, hold=DURATION and
// every=DURATION (also at_least=), in any order, with commas between.
func ParseGate(text string) (Gate, error) {
	var g Gate
	if text == "off" {
		return g, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		if err := g.set(strings.TrimSpace(part)); err != nil {
			return Gate{}, err
		}
	}
	return g, g.Validate()
}

func (g *Gate) set(part string) error {
	key, value, ok := strings.Cut(part, "=")
	to := map[string]*time.Duration{"hold": &g.Hold, "every": &g.AtLeast, "at_least": &g.AtLeast}[key]
	switch {
	case !ok && part != "" && part != "off" && g.Class == "":
		g.Class = part
		return nil
	case !ok || to == nil:
		return fmt.Errorf("%q is not understood; want off, or CLASS,hold=2s,every=10s", part)
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return fmt.Errorf("%s: %q is not a time above 0 such as 2s", key, value)
	}
	*to = d
	return nil
}
