package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gallery"
)

// enrol makes a gallery of a folder of photos with the capsules of the engine, and tells w
// which photos were taken, which were not and why, also when no gallery comes of it.
func enrol(ctx context.Context, engine *pipeline.Engine, dir string, w io.Writer) (*gallery.Gallery, error) {
	g, report, err := gallery.Enrol(ctx, engine, dir, gallery.Options{Class: recognisable})
	if err != nil {
		err = interruptedOr(ctx, err)
	}
	printGallery(w, report)
	return g, err
}

// recognisable is the class of nodes that a gallery names.
const recognisable = "face"

// galleryChain says which capsules a gallery brings in although they are on demand, and which
// it leaves out because one that it brings in finds the same and more: encoders of faces, and
// the detectors that give what those need.
func galleryChain(entries []catalog.Entry) (in, out map[string]bool) {
	in, out = map[string]bool{}, map[string]bool{}
	var needs []string
	for _, e := range entries {
		c, err := catalog.Planned(e, nil)
		if err == nil && c.Input.Difference(c.Output).Encoded && slices.Contains(c.Output.Detections, recognisable) {
			in[c.Name] = true
			needs = append(needs, c.Input.ExtraData...)
		}
	}
	if len(in) == 0 {
		return in, out // enrolment says what is missing
	}
	var less []string
	found := false
	for _, e := range entries {
		c, err := catalog.Planned(e, nil)
		if err != nil || !slices.Contains(c.Input.Difference(c.Output).Detections, recognisable) {
			continue
		}
		if slices.ContainsFunc(needs, func(key string) bool { return !slices.Contains(c.Output.ExtraData, key) }) {
			less = append(less, c.Name)
		} else {
			in[c.Name], found = true, true
		}
	}
	for _, name := range less {
		out[name] = found
	}
	return in, out
}

// printGallery writes a block for each person: what was taken, then what was refused.
func printGallery(w io.Writer, r *gallery.Report) {
	if len(r.Photos) == 0 {
		return // the error says it all
	}
	enrolled := 0
	persons := r.Persons()
	for _, p := range persons {
		enrolled += min(1, r.Taken(p))
	}
	fmt.Fprintf(w, "gallery %s: %d of %d persons\n", r.Dir, enrolled, len(persons))
	for _, e := range r.Encoders {
		fmt.Fprintf(w, "  by %s, %s distance at most %g\n", e.ID, e.Metric, e.Threshold)
	}
	for _, p := range persons {
		printPerson(w, r, p)
	}
	for _, s := range r.Stray {
		fmt.Fprintf(w, "  not looked at: %s (photos lie right in a person's folder)\n", s)
	}
	for _, a := range r.Alike {
		fmt.Fprintf(w, "  hard to tell apart: %s and %s (%s and %s are %.2f apart)\n", a.A.Person, a.B.Person, a.A.File, a.B.File, a.Distance)
	}
}

func printPerson(w io.Writer, r *gallery.Report, person string) {
	var taken []string
	var refused []gallery.Photo
	for _, p := range r.Photos {
		switch {
		case p.Person != person:
		case p.Refused == "":
			taken = append(taken, p.File+byEncoder(r, p.Encoder))
		default:
			refused = append(refused, p)
		}
	}
	const most = 8
	switch {
	case len(taken) == 0 && len(refused) == 0:
		fmt.Fprintf(w, "  %s: not enrolled, the folder has no photos\n", person)
	case len(taken) == 0:
		fmt.Fprintf(w, "  %s: not enrolled, no photo was taken\n", person)
	case len(taken) > most:
		fmt.Fprintf(w, "  %s: %d photos, %s and %d more\n", person, len(taken), strings.Join(taken[:most], ", "), len(taken)-most)
	case len(taken) == 1:
		fmt.Fprintf(w, "  %s: 1 photo, %s\n", person, taken[0])
	default:
		fmt.Fprintf(w, "  %s: %d photos, %s\n", person, len(taken), strings.Join(taken, ", "))
	}
	for _, p := range refused {
		fmt.Fprintf(w, "    refused %s%s: %s (%s)\n", p.File, byEncoder(r, p.Encoder), p.Refused, p.Detail)
	}
}

// byEncoder names the encoder where there are several.
func byEncoder(r *gallery.Report, id core.EncoderID) string {
	if len(r.Encoders) < 2 {
		return ""
	}
	return " [" + string(id) + "]"
}
