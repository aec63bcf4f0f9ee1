// Command tracker_ocsort gives the detections of a stream tracks, by what was observed.
package main

import (
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/track"
	"github.com/capstan-video/capstan/sdk/track/follow"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = declare()

func declare() sdk.Capsule {
	c := follow.Capsule(track.DefaultObserved())
	c.Name, c.Version = "tracker_ocsort", "0.1.0"
	c.Description = "Follows detections from frame to frame by their observed directions and gives each object one track."
	c.OnDemand = true // two trackers would write over each other
	return c
}

func main() { sdk.Serve(capsule) }
