package sdk

import (
	"image"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Frame is one picture of a stream with the nodes that the capsule asked for. It is valid
// until Process returns.
type Frame struct {
	info   core.Frame
	layout core.Layout
	mem    []byte // the block that layout speaks of; read-only memory
	nodes  []*Node
	added  []*Node
}

// NewFrame makes a frame over mem, as Serve does for every call. layout's zero value is a frame
// without pixels. Node coordinates are in the pixels of the layout. Tests use it through sdktest.
func NewFrame(info core.Frame, layout core.Layout, mem []byte, nodes []*core.Node) (*Frame, error) {
	if layout.Format != "" {
		if err := layout.Check(int64(len(mem))); err != nil {
			return nil, err
		}
	}
	f := &Frame{info: info, layout: layout, mem: mem}
	for _, n := range nodes {
		f.nodes = append(f.nodes, &Node{node: n, patch: &core.Patch{Node: n.ID}})
	}
	return f, nil
}

// Stream gives the stream's ID.
func (f *Frame) Stream() core.StreamID { return f.info.Stream }

// Seq gives the frame's number in its session, from 1; a gap is a frame that was dropped.
func (f *Frame) Seq() uint64 { return f.info.Seq }

// PTS gives the time since the session's first frame: measure time with it, never by counting.
func (f *Frame) PTS() PTS { return f.info.PTS }

// Captured gives the UTC time that the picture is said to be from.
func (f *Frame) Captured() time.Time { return f.info.Captured }

// Format gives the pixel format of this picture, "" for a frame without pixels.
func (f *Frame) Format() PixelFormat { return f.layout.Format }

// Width gives the width of this picture in pixels; it may be smaller than the stream's. A
// frame without pixels has the stream's width.
func (f *Frame) Width() int {
	if f.layout.Format == "" {
		return f.info.Caps.Width
	}
	return f.layout.Width
}

// Height is to Width as height is to width.
func (f *Frame) Height() int {
	if f.layout.Format == "" {
		return f.info.Caps.Height
	}
	return f.layout.Height
}

// Caps gives the size and rate of the stream, whatever the size of this picture.
func (f *Frame) Caps() core.Caps { return f.info.Caps }

// FullRange says whether luma spans 0..255; false means 16..235, as most video has it.
func (f *Frame) FullRange() bool { return f.layout.FullRange }

// Layout says where the pixels lie in Memory.
func (f *Frame) Layout() core.Layout { return f.layout }

// Memory gives the block that Layout speaks of. It is shared with other processes and mapped
// read-only: writing to it ends the capsule.
func (f *Frame) Memory() []byte { return f.mem }

// Plane gives plane i and its stride, without a copy; nil when there is no such plane.
func (f *Frame) Plane(i int) (pix []byte, stride int) {
	if i < 0 || i >= len(f.layout.Planes) {
		return nil, 0
	}
	p := f.layout.Planes[i]
	row, rows := f.layout.Format.PlaneSize(i, f.layout.Width, f.layout.Height)
	end := p.Offset + int64(p.Stride)*int64(rows-1) + int64(row)
	return f.mem[p.Offset:end:end], p.Stride
}

// Gray gives the luma as a picture. For GRAY8, I420 and NV12 it is the frame's own memory,
// read-only and without a copy; for RGB and BGR it is computed. It is nil for a frame without
// pixels.
func (f *Frame) Gray() *image.Gray {
	switch f.layout.Format {
	case GRAY8, I420, NV12:
		pix, stride := f.Plane(0)
		return &image.Gray{Pix: pix, Stride: stride, Rect: f.bounds()}
	case RGB, BGR:
		return f.grayOfPacked()
	default:
		return nil
	}
}

func (f *Frame) bounds() image.Rectangle { return image.Rect(0, 0, f.layout.Width, f.layout.Height) }

func (f *Frame) grayOfPacked() *image.Gray {
	g := image.NewGray(f.bounds())
	pix, stride := f.Plane(0)
	r, b := 0, 2
	if f.layout.Format == BGR {
		r, b = 2, 0
	}
	for y := range f.layout.Height {
		row, out := pix[y*stride:], g.Pix[y*g.Stride:]
		for x := range f.layout.Width {
			p := row[3*x : 3*x+3]
			out[x] = uint8((299*uint32(p[r]) + 587*uint32(p[1]) + 114*uint32(p[b]) + 500) / 1000)
		}
	}
	return g
}

// Image gives the picture for the image packages, without a copy of the pixels: *image.Gray,
// *YUVImage (I420 and NV12) or *PackedImage (RGB and BGR). Colours of a YUVImage are converted
// as they are asked for, with the frame's own matrix and range; to work on many pixels fast, use
// Plane or ask for RGB. It is nil for a frame without pixels.
func (f *Frame) Image() image.Image {
	switch f.layout.Format {
	case GRAY8:
		return f.Gray()
	case I420, NV12:
		return f.yuvImage()
	case RGB, BGR:
		pix, stride := f.Plane(0)
		return &PackedImage{Pix: pix, Stride: stride, Rect: f.bounds(), BGR: f.layout.Format == BGR}
	default:
		return nil
	}
}

// Nodes gives the nodes that the capsule needs: none, one, or all that match, in the order in
// which they were found.
func (f *Frame) Nodes() []*Node { return f.nodes }

// Node gives the one node of a capsule that needs single nodes, nil otherwise.
func (f *Frame) Node() *Node {
	if len(f.nodes) != 1 {
		return nil
	}
	return f.nodes[0]
}

// Add adds a node in the pixels of this picture and gives it for more to be set on it.
func (f *Frame) Add(class string, outline Polygon) *Node {
	n := &Node{node: &core.Node{Class: class, Coords: outline}}
	f.added = append(f.added, n)
	return n
}

// Added gives what Add has added so far.
func (f *Frame) Added() []*Node { return f.added }
