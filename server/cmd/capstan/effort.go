package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/spf13/pflag"
)

// effortFlags say which frames and capsules may be left out to save work.
type effortFlags struct {
	every     int
	everyN    []string
	gates     []string
	pictures  []string
	keyframes bool
}

const gateUsage = "run a capsule only while others report a class, repeatable: `capsule=motion,hold=2s,every=10s`, or capsule=off"

const pictureUsage = "give a capsule another picture than it asks for, repeatable: `capsule=416,linear`, capsule=640x480,opencv or capsule=native"

func (f *effortFlags) add(fl *pflag.FlagSet) {
	fl.IntVar(&f.every, "every", 1, "process every `N`-th frame only")
	fl.StringSliceVar(&f.everyN, "every-n", nil, "call a capsule on every N-th frame only: `capsule=N`")
	fl.StringArrayVar(&f.gates, "gate", nil, gateUsage)
	fl.StringArrayVar(&f.pictures, "picture", nil, pictureUsage)
	fl.BoolVar(&f.keyframes, "keyframes", false, "decode the key frames of the video only")
}

// saves says whether any of the flags is set.
func (f *effortFlags) saves() bool {
	return f.every > 1 || len(f.everyN) > 0 || len(f.gates) > 0 || len(f.pictures) > 0 || f.keyframes
}

// skips says whether any flag leaves frames out.
func (f *effortFlags) skips() bool {
	return f.every > 1 || len(f.everyN) > 0 || len(f.gates) > 0 || f.keyframes
}

// apply puts the flags into a job for the given capsules.
func (f *effortFlags) apply(job *pipeline.Job, names []string) (err error) {
	job.Every, job.Source.KeyframesOnly = f.every, f.keyframes
	if job.EveryN, err = parseEveryN(f.everyN); err != nil {
		return err
	}
	if job.Gates, err = parseGates(f.gates); err != nil {
		return err
	}
	if job.Pictures, err = parsePictures(f.pictures); err != nil {
		return err
	}
	for name := range job.Pictures {
		if err := used("--picture", name, names); err != nil {
			return err
		}
	}
	for name := range job.EveryN {
		if err := used("--every-n", name, names); err != nil {
			return err
		}
	}
	for name := range job.Gates {
		if err := used("--gate", name, names); err != nil {
			return err
		}
	}
	return nil
}

// used refuses the name of a capsule that does not run.
func used(flag, name string, names []string) error {
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	hint := "they are: " + strings.Join(names, ", ")
	if near := core.Nearest(name, names); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	}
	return usageError{fmt.Errorf("%s: %q is not one of the capsules that run (%s)", flag, name, hint)}
}

func parseEveryN(texts []string) (map[string]int, error) {
	m := map[string]int{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		n, err := strconv.Atoi(value)
		if !ok || name == "" || err != nil || n < 1 {
			return nil, usageError{fmt.Errorf("--every-n %q: want capsule=N, N being 1 or more", text)}
		}
		m[name] = n
	}
	return m, nil
}

func parseGates(texts []string) (map[string]core.Gate, error) {
	m := map[string]core.Gate{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--gate %q: want capsule=CLASS,hold=2s,every=10s, or capsule=off", text)}
		}
		g, err := core.ParseGate(value)
		if err != nil {
			return nil, usageError{fmt.Errorf("--gate %q: %w", text, err)}
		}
		m[name] = g
	}
	return m, nil
}

func parsePictures(texts []string) (map[string]core.PictureSize, error) {
	m := map[string]core.PictureSize{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		p, err := parsePicture(value)
		if !ok || name == "" || err != nil {
			if err == nil {
				err = errors.New("want capsule=416,linear, capsule=640x480,opencv or capsule=native")
			}
			return nil, usageError{fmt.Errorf("--picture %q: %w", text, err)}
		}
		m[name] = p
	}
	return m, nil
}

// parsePicture reads SIDE, WIDTHxHEIGHT or native, and a filter after a comma.
func parsePicture(text string) (p core.PictureSize, err error) {
	size, filter, _ := strings.Cut(text, ",")
	if filter != "mean" {
		p.Filter = core.Filter(filter)
	}
	w, h, exact := strings.Cut(size, "x")
	switch {
	case size == "native":
	case exact:
		if p.Width, err = side(w); err == nil {
			p.Height, err = side(h)
		}
	default:
		p.MaxSide, err = side(size)
	}
	if err != nil {
		return p, err
	}
	return p, p.Validate()
}

func side(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is neither native, nor a side in pixels, nor WIDTHxHEIGHT", text)
	}
	return n, nil
}

// gated gives the planner's view of capsules with gates from the command line.
func gated(list []plan.Capsule, gates map[string]core.Gate) []plan.Capsule {
	for i, c := range list {
		if g, ok := gates[c.Name]; ok {
			list[i].Gate = g.Class
		}
	}
	return list
}
