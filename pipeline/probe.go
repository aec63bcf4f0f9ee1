package pipeline

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// ProbeStream is the stream that a capsule sees while it is probed.
const ProbeStream core.StreamID = "capstan-probe"

// Probe has a capsule process one grey frame, of a stream of its own that has these values and
// ends with the frame, and holds the answer against the declaration. caps are those of the
// stream, Format does not count. A capsule that takes all nodes gets none, one that takes single
// nodes gets one that was made up: an error about that one is no fault, but to die of it, to
// hang or to break the declaration is. Other streams of the capsule do not notice.
func Probe(ctx context.Context, c Capsule, values core.Values, caps core.Caps) error {
	name := c.Declaration().Name
	decl, err := c.Declaration().Resolve(values)
	if err == nil {
		err = c.OpenStream(ctx, ProbeStream, values)
	}
	if err == nil {
		err = probe(ctx, c, decl, caps)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeStationTimeout)
		defer cancel()
		err = errors.Join(err, c.CloseStream(closing, ProbeStream))
	}
	if err != nil {
		return core.Faultf(core.KindOf(err), "probe capsule", name, "%w", err)
	}
	return nil
}

func probe(ctx context.Context, c Capsule, decl core.Declaration, caps core.Caps) error {
	call := Call{Frame: core.Frame{Stream: ProbeStream, Seq: 1, Captured: time.Now().UTC(), Caps: caps}}
	if decl.Input.Size == core.SizeSingle {
		n, ok := madeUp(decl.Input, caps)
		if !ok {
			return nil
		}
		call.Nodes = []*core.Node{n}
	}
	if len(decl.Formats) > 0 {
		view, err := greyView(decl, caps)
		if core.KindOf(err) == core.Unsupported {
			return nil // without shared memory there is no picture to make
		}
		if err != nil {
			return err
		}
		defer view.Arena.Close()
		call.View = view
	}
	a, err := c.Process(ctx, call)
	if err != nil {
		return err
	}
	return judgeProbe(decl, call, a)
}

// madeUp gives a node in the middle of the picture that satisfies d. Nobody can make up an
// encoding.
func madeUp(d core.Description, caps core.Caps) (*core.Node, bool) {
	if d.Encoded {
		return nil, false
	}
	w, h := float64(caps.Width), float64(caps.Height)
	n := &core.Node{ID: 1, Class: "object", Coords: core.Rect(w/4, h/4, w*3/4, h*3/4)}
	if len(d.Detections) > 0 {
		n.Class = d.Detections[0]
	}
	for _, a := range d.Attributes {
		if n.Attributes == nil {
			n.Attributes = map[string]string{}
		}
		n.Attributes[a.Name] = a.Values[0]
	}
	for _, key := range d.ExtraData {
		if err := n.ExtraData.Set(key, 0.5); err != nil {
			return nil, false
		}
	}
	if d.Tracked {
		n.TrackID = "probe"
	}
	return n, true
}

// greyView makes the picture that the capsule likes best, all of it in middle grey.
func greyView(decl core.Declaration, caps core.Caps) (shm.View, error) {
	w, h := decl.Picture.Fit(caps.Width, caps.Height)
	layout, size := core.Packed(decl.Formats[0], w, h)
	arena, err := shm.Create(size)
	if err != nil {
		return shm.View{}, err
	}
	copy(arena.Bytes(), bytes.Repeat([]byte{128}, len(arena.Bytes())))
	return shm.View{Arena: arena, Layout: layout}, nil
}

func judgeProbe(decl core.Declaration, call Call, a Answer) error {
	single := decl.Input.Size == core.SizeSingle
	if len(a.Returns) != 1 {
		return core.Faultf(core.CapsuleGarbage, "", "", "it gave %d returns, want 1", len(a.Returns))
	}
	r := &a.Returns[0]
	switch {
	case r.Err != nil && single:
		return nil
	case r.Err != nil:
		return r.Err
	}
	if err := core.CheckReturn(decl.Input.Size, decl.Output.Size, r); err != nil {
		return err
	}
	for _, n := range r.Added {
		if ok, err := decl.Output.Describes(n); err != nil || !ok {
			return core.Faultf(core.CapsuleContract, "", "", "a node of class %q lacks %v of what it declares (%s)",
				n.Class, decl.Output.Missing(n), decl.Output)
		}
	}
	for _, p := range r.Patches {
		if len(call.Nodes) == 0 || p.Node != call.Nodes[0].ID {
			return core.Faultf(core.CapsuleGarbage, "", "", "it speaks of node %d, which it was not given", p.Node)
		}
	}
	return nil
}
