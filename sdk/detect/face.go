package detect

import (
	"encoding/json"

	"github.com/capstan-video/capstan/sdk"
)

// Marks are the names of the five points of a face, in the order of the networks: those on the
// picture's left first.
var Marks = [5]string{"left_eye", "right_eye", "nose", "mouth_left", "mouth_right"}

// arcFace is where the points of a face lie in an input of 112x112 of the networks that tell
// faces apart.
var arcFace = []sdk.Point{{X: 38.2946, Y: 51.6963}, {X: 73.5318, Y: 51.5014}, {X: 56.0252, Y: 71.7366}, {X: 41.5493, Y: 92.3655}, {X: 70.7299, Y: 92.2041}}

// usual is where they lie in the box of a face, as shares of it.
var usual = []sdk.Point{{X: 0.28, Y: 0.38}, {X: 0.72, Y: 0.38}, {X: 0.5, Y: 0.58}, {X: 0.32, Y: 0.74}, {X: 0.68, Y: 0.74}}

// SetMarks writes the points as the extra data landmarks of a face: places in pixels of the
// stream by name, whatever the size of f.
func SetMarks(n *sdk.Node, f *sdk.Frame, points []sdk.Point) {
	sx, sy := float64(f.Caps().Width)/float64(f.Width()), float64(f.Caps().Height)/float64(f.Height())
	marks := make(map[string]sdk.Point, len(Marks))
	for i, name := range Marks {
		marks[name] = sdk.Point{X: Round(points[i].X*sx, 10), Y: Round(points[i].Y*sy, 10)}
	}
	n.SetExtra("landmarks", marks)
}

// ReadMarks gives the points of a face in pixels of f; false when it has none, or not all five.
func ReadMarks(n *sdk.Node, f *sdk.Frame) ([]sdk.Point, bool) {
	raw, ok := n.Extra("landmarks")
	if !ok {
		return nil, false
	}
	var marks map[string]sdk.Point
	if json.Unmarshal(raw, &marks) != nil || f.Caps().Width < 1 || f.Caps().Height < 1 {
		return nil, false
	}
	sx, sy := float64(f.Width())/float64(f.Caps().Width), float64(f.Height())/float64(f.Caps().Height)
	points := make([]sdk.Point, 0, len(Marks))
	for _, name := range Marks {
		p, ok := marks[name]
		if !ok {
			return nil, false
		}
		points = append(points, sdk.Point{X: p.X * sx, Y: p.Y * sy})
	}
	return points, true
}

// FaceWarp maps an input of 112x112 onto the face, its points where such networks want them.
// Without five usable landmarks they are taken to lie where they usually do in the box.
func FaceWarp(n *sdk.Node, f *sdk.Frame) Warp {
	if points, ok := ReadMarks(n, f); ok {
		if w, ok := Align(arcFace, points); ok {
			return w
		}
	}
	b := n.Box()
	points := make([]sdk.Point, 0, len(usual))
	for _, u := range usual {
		points = append(points, sdk.Point{X: b.X1 + u.X*b.Width(), Y: b.Y1 + u.Y*b.Height()})
	}
	if w, ok := Align(arcFace, points); ok {
		return w
	}
	return Cut(b, 112, 112)
}
