package main

import (
	_ "embed" // pigo's cascades
	"fmt"
	"math"
	"sync"
)

// The cascades come with pigo (MIT, see LICENSE.pigo): lp93 finds the nose, lp84 a corner of
// the mouth.
var (
	//go:embed cascades/facefinder
	faceData []byte
	//go:embed cascades/puploc
	pupilData []byte
	//go:embed cascades/lp93
	noseData []byte
	//go:embed cascades/lp84
	mouthData []byte
)

// models are shared by all streams.
type models struct {
	face               *cascade
	pupil, nose, mouth *locator
}

// load reads the cascades once a process.
var load = sync.OnceValues(func() (*models, error) {
	face, err := newCascade(faceData)
	if err != nil {
		return nil, fmt.Errorf("facefinder: %w", err)
	}
	m := &models{face: face}
	for _, l := range []struct {
		name string
		data []byte
		to   **locator
	}{{"puploc", pupilData, &m.pupil}, {"lp93", noseData, &m.nose}, {"lp84", mouthData, &m.mouth}} {
		if *l.to, err = newLocator(l.data); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return m, nil
})

// round keeps v to 1/steps.
func round(v, steps float64) float64 { return math.Round(v*steps) / steps }
