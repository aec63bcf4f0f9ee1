// Command tracker_bytetrack gives the detections of a stream tracks.
package main

import (
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/track"
	"github.com/capstan-video/capstan/sdk/track/follow"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = declare()

func declare() sdk.Capsule {
	c := follow.Capsule(track.Default())
	c.Name, c.Version = "tracker_bytetrack", "0.2.0"
	c.Description = "Follows detections from frame to frame and gives each object one track."
	return c
}

func main() { sdk.Serve(capsule) }
