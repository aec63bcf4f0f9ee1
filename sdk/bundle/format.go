// Package bundle reads and writes recordings: one file with the frames of a stream, or the clip
// that they came from, and with what every capsule was given and answered. docs/reference/bundle.md
// has the format.
package bundle

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Format and Version stand in every bundle. A reader refuses a version above its own.
const (
	Format  = "capstan-bundle"
	Version = 1
)

// Extension is that of a bundle's file, PartExtension is added while it is recorded.
const (
	Extension     = ".bundle"
	PartExtension = ".part"
)

// The bounds of what a reader accepts, in bytes but for maxMembers.
const (
	maxMembers = 200_000
	maxHeader  = 16 << 20
	maxIndex   = 64 << 20
	maxRecords = 64 << 20  // one member of records
	maxPicture = 256 << 20 // one picture, without padding
	maxClip    = 1<<32 - 1 // a zip member without the extensions that not every reader knows
)

// What the frames of a bundle are.
const (
	MediaClip   = "clip"   // the file that was played is in the bundle
	MediaFrames = "frames" // every frame is in the bundle, without loss
	MediaNone   = "none"   // there are no frames, at most the pictures of single capsules
)

// How a recording ended.
const (
	Done        = "done"
	Interrupted = "interrupted" // somebody stopped it
	Limited     = "limit"       // it reached the size that it was allowed
	Broken      = "failed"      // the source or the disk broke; Index.Error says how
	Incomplete  = "incomplete"  // the end of the file is missing: it was killed, or cut off later
)

// Header is the member bundle.json.
type Header struct {
	Format   string        `json:"format"`
	Version  int           `json:"version"`
	Created  time.Time     `json:"created"`
	Capstan  string        `json:"capstan"`
	Contract string        `json:"contract"` // version of the capsule contract
	Source   string        `json:"source"`   // as it was named, without passwords
	Stream   core.StreamID `json:"stream"`
	Media    string        `json:"media"`
	Clip     *Clip         `json:"clip,omitempty"`
	Live     bool          `json:"live"`
	Caps     Caps          `json:"caps"`
	// Plan is what capstan plan --format json prints; empty where there was none.
	Plan     json.RawMessage `json:"plan,omitempty"`
	Capsules []Capsule       `json:"capsules"`
}

// Clip says how the clip in the bundle was played.
type Clip struct {
	File      string `json:"file"` // the member
	Start     int64  `json:"start_ns"`
	Duration  int64  `json:"duration_ns"` // 0: to the end
	Keyframes bool   `json:"keyframes,omitempty"`
}

// Capsule is one that took part.
type Capsule struct {
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Manifest string          `json:"manifest"` // the text of its capsule.yaml
	Options  json.RawMessage `json:"options"`  // by name, complete but for secrets, which are left out
	EveryN   int             `json:"every_n,omitempty"`
	Gate     string          `json:"gate,omitempty"` // as --gate has it; "": its own
	Pictures bool            `json:"pictures"`       // the pictures that it was given are in the bundle
}

// Capsule finds a capsule by name.
func (h *Header) Capsule(name string) (Capsule, bool) {
	for _, c := range h.Capsules {
		if c.Name == name {
			return c, true
		}
	}
	return Capsule{}, false
}

// Caps is core.Caps.
type Caps struct {
	Format    core.PixelFormat `json:"format"`
	Width     int              `json:"width"`
	Height    int              `json:"height"`
	RateN     int              `json:"rate_n"`
	RateD     int              `json:"rate_d"`
	Matrix    core.Matrix      `json:"matrix"`
	FullRange bool             `json:"full_range"`
}

// Frame is one line of the records: a frame with what every capsule made of it.
type Frame struct {
	Seq      uint64            `json:"seq"`
	PTS      int64             `json:"pts_ns"` // since the session's first frame
	Captured time.Time         `json:"captured"`
	Caps     Caps              `json:"caps"`
	Picture  *Picture          `json:"picture,omitempty"` // of media frames
	Calls    []Call            `json:"calls"`             // in the order of the capsules' names
	Nodes    []Node            `json:"detections"`        // the result
	Drops    map[string]uint64 `json:"drops,omitempty"`
}

// Call is what one capsule was given for a frame and what it answered.
type Call struct {
	Capsule string   `json:"capsule"`
	Picture *Picture `json:"picture,omitempty"`
	Nodes   []Node   `json:"nodes"`
	Returns []Return `json:"returns"`
	Error   *Error   `json:"error,omitempty"` // the whole call failed; Returns is empty
}

// Call finds the call of a capsule.
func (f *Frame) Call(capsule string) *Call {
	for i := range f.Calls {
		if f.Calls[i].Capsule == capsule {
			return &f.Calls[i]
		}
	}
	return nil
}

// Info gives the frame as capsules see it.
func (f *Frame) Info(stream core.StreamID) core.Frame {
	return core.Frame{Stream: stream, Seq: f.Seq, PTS: core.PTS(f.PTS), Captured: f.Captured, Caps: core.Caps(f.Caps)}
}

// FrameOf gives the record of a frame, without nodes and calls.
func FrameOf(f core.Frame) *Frame {
	return &Frame{Seq: f.Seq, PTS: int64(f.PTS), Captured: f.Captured.UTC(), Caps: Caps(f.Caps), Calls: []Call{}, Nodes: []Node{}}
}

// Picture names a member with pixels: plane after plane, rows without padding.
type Picture struct {
	File      string           `json:"file"`
	Format    core.PixelFormat `json:"format"`
	Width     int              `json:"width"`
	Height    int              `json:"height"`
	Matrix    core.Matrix      `json:"matrix"`
	FullRange bool             `json:"full_range"`
}

// layout gives where the pixels lie in the member, and its size; false for a picture that cannot be.
func (p *Picture) layout() (core.Layout, int64, bool) {
	const side = 1 << 15
	if p.Width < 1 || p.Height < 1 || p.Width > side || p.Height > side || !p.Format.Known() {
		return core.Layout{}, 0, false
	}
	l, size := core.Packed(p.Format, p.Width, p.Height)
	l.Matrix, l.FullRange = p.Matrix, p.FullRange
	return l, size, size <= maxPicture
}

// Error is a fault of a call or of a return.
type Error struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Index is the member index.json, the last one. A file without it was not completed.
type Index struct {
	Status  string            `json:"status"`
	Error   string            `json:"error,omitempty"`
	Frames  int               `json:"frames"`
	Members map[string]Member `json:"members"` // all but index.json itself
}

// Member is what a member holds when it is unpacked.
type Member struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// The names of members.
const (
	headerName = "bundle.json"
	indexName  = "index.json"
)

var memberName = regexp.MustCompile(`^(bundle\.json|index\.json|clip/[^/\\\x00-\x1f]{1,255}|records/[0-9]{6}\.jsonl|frames/[0-9]{8,20}\.raw|pictures/[A-Za-z0-9_]{1,128}/[0-9]{8,20}\.raw)$`)

func recordsName(n int) string { return fmt.Sprintf("records/%06d.jsonl", n) }

// FrameName is the member of a frame's pixels.
func FrameName(seq uint64) string { return fmt.Sprintf("frames/%08d.raw", seq) }

// PictureName is the member of the picture that a capsule was given.
func PictureName(capsule string, seq uint64) string {
	return fmt.Sprintf("pictures/%s/%08d.raw", capsule, seq)
}

// limitOf gives how large a member may be when it is unpacked.
func limitOf(name string) int64 {
	switch {
	case name == headerName:
		return maxHeader
	case name == indexName:
		return maxIndex
	case name[0] == 'r':
		return maxRecords
	case name[0] == 'c':
		return maxClip
	default:
		return maxPicture
	}
}

// fault blames a file.
func fault(path, format string, args ...any) *core.Fault {
	return core.Faultf(core.Invalid, "bundle", path, format, args...)
}
