package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "det.txt")
	if err := os.WriteFile(path, []byte("1,-1,10,20,30,40,0.9\n2,-1,11,20,30,40,0.8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sdktest.RunWith(t, capsule, map[string]any{"path": path})
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestPathHasToBeGiven(t *testing.T) {
	t.Parallel()
	if _, err := open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, nil)}); err == nil || !strings.Contains(err.Error(), "option path") {
		t.Errorf("without a path it opens with %v", err)
	}
}
