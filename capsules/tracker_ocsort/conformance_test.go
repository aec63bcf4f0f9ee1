package main

import (
	"testing"

	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestConformance(t *testing.T) { sdktest.Run(t, capsule) }

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }
