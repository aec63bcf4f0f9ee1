// Package sdk is the door for authors of capsules: declare what the capsule needs and gives,
// open it for a stream, process frames.
//
//	var capsule = sdk.Capsule{Name: …, Gives: sdk.Finds("motion"), Open: open}
//
//	func main() { sdk.Serve(capsule) }
package sdk

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-hclog"
)

// The nouns that authors need, under one import.
type (
	Description = core.Description
	Attribute   = core.Attribute
	Option      = core.Option
	Values      = core.Values
	PixelFormat = core.PixelFormat
	PictureSize = core.PictureSize
	Metric      = core.Metric
	Gate        = core.Gate
	Resources   = core.Needs
	FileNeed    = core.FileNeed
	Model       = core.Model
	Polygon     = core.Polygon
	Point       = core.Point
	Box         = core.Box
	Encoding    = core.Encoding
	TrackID     = core.TrackID
	NodeID      = core.NodeID
	PTS         = core.PTS
)

// Names of core under the same import.
const (
	GRAY8 = core.GRAY8
	I420  = core.I420
	NV12  = core.NV12
	RGB   = core.RGB
	BGR   = core.BGR

	Linear = core.Linear

	Cosine    = core.Cosine
	Euclidean = core.Euclidean

	None   = core.SizeNone
	Single = core.SizeSingle
	All    = core.SizeAll
)

// Capsule declares a capsule. It is the source of its capsule.yaml.
type Capsule struct {
	Name        string // role_subject_how: detector_face_pigo
	Version     string
	Description string        // one sentence for people
	Needs       Description   // the zero value: the frame alone
	Gives       Description   // every node that it adds or changes satisfies this
	Options     []Option      // see Float, Int, Enum…
	Formats     []PixelFormat // accepted pixels, best first; none: it gets no pixels
	Picture     PictureSize   // the size it wants; the zero value: as they come
	Stateful    bool          // true: frames of a stream come one at a time and in order
	EveryN      int           // n > 1: called on every n-th frame only
	Gate        Gate          // called only while another capsule reports, say, motion; the zero value: always
	Deadline    time.Duration // for one frame; 0: the host's default of 10 s
	Metric      Metric        // how to compare its encodings; encoders only
	OnDemand    bool          // true: not used unless it is named, because it needs settings
	Models      []Model       // files that it needs beside itself: capstan models pull fetches them
	Resources   Resources     // what it takes of the machine: network, files, memory…; the zero value: nothing of others
	Entry       string        // the program's file name; "": the capsule's name

	// Concurrency bounds how many processors of one stream a stateless capsule runs side by
	// side; 0 means one for each CPU. A stateful capsule has one.
	Concurrency int

	// Load, if set, runs once a process before the first Open: the place for models that all
	// streams share. An error ends the process and is reported as the capsule's.
	Load func(ctx context.Context, log hclog.Logger) error

	// Open runs once for each processor of a stream.
	Open func(ctx context.Context, s Stream) (Processor, error)
}

// Stream is what a processor is opened for.
type Stream struct {
	ID      core.StreamID
	Options Values // complete and checked; read-only
	Log     hclog.Logger
}

// Processor works on the frames of one stream. It is never called from two goroutines at once,
// so its state is plain fields. A stateful capsule has one processor a stream and sees every
// frame it is given in order; a stateless one may have several, each seeing some of the frames.
//
// A processor that is also an io.Closer is closed when its stream ends or its options change.
type Processor interface {
	// Process looks at f and adds to it: f.Add for new nodes, Set… on f.Nodes for known ones.
	// f, its pixels and its nodes are valid until Process returns; copy what you keep. An
	// error drops what this call added, is counted and logged, and changes nothing else. When
	// ctx ends the engine no longer waits.
	//
	// A capsule that needs single nodes is called once for each; one that needs all of them
	// once a frame, also when there are none.
	Process(ctx context.Context, f *Frame) error
}

// ProcessorFunc makes a Processor of a function.
type ProcessorFunc func(ctx context.Context, f *Frame) error

// Process calls the function.
func (p ProcessorFunc) Process(ctx context.Context, f *Frame) error { return p(ctx, f) }

// Finds is the Gives of a detector: a list of nodes of these classes.
func Finds(classes ...string) Description {
	return Description{Size: All, Detections: classes}
}

// Each is the Needs (and Gives) of a capsule that works on one node at a time.
func Each(classes ...string) Description {
	return Description{Size: Single, Detections: classes}
}

// Every is the Needs (and Gives) of a capsule that works on all nodes of a frame together.
func Every(classes ...string) Description {
	return Description{Size: All, Detections: classes}
}

// Rect gives the outline of an upright rectangle.
func Rect(x1, y1, x2, y2 float64) Polygon { return core.Rect(x1, y1, x2, y2) }

// Declaration gives what is known of the capsule without running it. It is not yet validated.
func (c Capsule) Declaration() core.Declaration {
	d := core.Declaration{
		Name: c.Name, Version: c.Version, API: core.APIVersion, Description: c.Description,
		Input: c.Needs, Output: c.Gives, Options: c.Options, Formats: c.Formats, Picture: c.Picture,
		Stateful: c.Stateful, EveryN: c.EveryN, Gate: c.Gate, Deadline: c.Deadline, Metric: c.Metric, OnDemand: c.OnDemand, Models: c.Models, Needs: c.Resources, Entry: c.Entry,
	}
	if d.Entry == "" {
		d.Entry = c.Name
	}
	if d.Input.Size == 0 {
		d.Input.Size = None
	}
	return d
}
