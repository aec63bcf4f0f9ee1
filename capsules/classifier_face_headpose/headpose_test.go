package main

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestPosesAreThoseOfTheReference(t *testing.T) {
	onnxtest.ReferenceAttributes(t, capsule, func(t *testing.T, n *sdk.Node, reference json.RawMessage) {
		var want struct {
			Pose [3]float64 `json:"yaw_pitch_roll_fsanet_mean_of_two"`
		}
		raw, _ := n.Extra("head_pose")
		var got pose
		if err := errors.Join(json.Unmarshal(reference, &want), json.Unmarshal(raw, &got)); err != nil {
			t.Fatal(err)
		}
		direction, _ := n.Attribute("head_direction")
		t.Logf("%+v %s, reference %v", got, direction, want.Pose)
		far := math.Max(math.Abs(got.Yaw-want.Pose[0]), math.Max(math.Abs(got.Pitch-want.Pose[1]), math.Abs(got.Roll-want.Pose[2])))
		if far > 0.8 || direction != "front" {
			t.Errorf("%+v, the reference has %v", got, want.Pose)
		}
	})
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

func BenchmarkFace(b *testing.B) { onnxtest.BenchmarkFace(b, capsule) }
