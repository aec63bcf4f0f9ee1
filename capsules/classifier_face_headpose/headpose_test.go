package main

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestPosesAreThoseOfTheReference(t *testing.T) {
	onnxtest.Models(t)
	var ref map[string]struct {
		Pose [3]float64 `json:"yaw_pitch_roll_fsanet_mean_of_two"`
	}
	onnxtest.Reference(t, "face_attributes", &ref)
	faces := onnxtest.ReferenceFaces(t)
	p := onnxtest.Open(t, capsule, nil)
	for name, want := range ref {
		m := cliptest.Picture(t, cliptest.Data(t, "images", "faces", name))
		f := onnxtest.Frame(t, capsule, m, faces[name][0])
		if err := p.Process(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		raw, _ := f.Node().Extra("head_pose")
		var got pose
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		direction, _ := f.Node().Attribute("head_direction")
		t.Logf("%s: %+v %s, reference %v", name, got, direction, want.Pose)
		far := math.Max(math.Abs(got.Yaw-want.Pose[0]), math.Max(math.Abs(got.Pitch-want.Pose[1]), math.Abs(got.Roll-want.Pose[2])))
		if far > 0.8 || direction != "front" {
			t.Errorf("%s: %+v, the reference has %v", name, got, want.Pose)
		}
	}
}

func TestDirections(t *testing.T) {
	c := &classifier{front: 20}
	for want, p := range map[string]pose{
		"front": {Yaw: 20, Pitch: -20, Roll: 90}, "left": {Yaw: 30, Pitch: 25}, "right": {Yaw: -21}, "up": {Yaw: 5, Pitch: 40}, "down": {Pitch: -21},
	} {
		if got := c.direction(p); got != want {
			t.Errorf("%+v: %s, want %s", p, got, want)
		}
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png")))
}

func BenchmarkFace(b *testing.B) {
	onnxtest.Models(b)
	p := onnxtest.Open(b, capsule, nil)
	f := onnxtest.Frame(b, capsule, cliptest.Picture(b, cliptest.Data(b, "images", "faces", "astronaut.png")), onnxtest.ReferenceFaces(b)["astronaut.png"][0])
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
