package detect

import "github.com/capstan-video/capstan/sdk"

// ObjectOptions are the options of a detector of named classes with its usual threshold, and
// after them its own.
func ObjectOptions(threshold float64, own ...sdk.Option) []sdk.Option {
	return append([]sdk.Option{
		sdk.Float("threshold", threshold, "Least confidence of an object: of there being one, times of its class.", sdk.Between(0.01, 1)),
		sdk.Float("iou", 0.45, "Two finds of a class that overlap more than this are one object.", sdk.Between(0, 1)),
		sdk.List("classes", COCO, "Classes to find."),
		sdk.List("names", []string{}, "Class names of a model of your own, in its order; empty: COCO's for 80 classes, person for one."),
		sdk.Duration("interval", 0, "Least time between two frames that are looked at; those between have no nodes. 0: every frame.", sdk.Between(0, 3600)),
	}, own...)
}

// Objects is what a detector of named classes does around its network, as ObjectOptions say. It
// keeps nothing from frame to frame.
type Objects struct {
	Threshold float64 // least score of a find

	names    []string
	wanted   []bool
	overlap  float64
	interval *Interval
}

// NewObjects reads the options of a stream for a network of so many classes. A fault names a
// class that the network does not know.
func NewObjects(s sdk.Stream, classes int) (*Objects, error) {
	o := &Objects{Threshold: s.Options.Float("threshold"), overlap: s.Options.Float("iou")}
	o.interval = IntervalOf(s.ID, s.Options.Duration("interval"))
	var err error
	if o.names, err = Names(s.Options.List("names"), classes); err != nil {
		return nil, err
	}
	o.wanted, err = Wanted(o.names, s.Options.List("classes"))
	return o, err
}

// Classes gives the number of the network's classes.
func (o *Objects) Classes() int { return len(o.names) }

// Due says whether f is to be looked at.
func (o *Objects) Due(f *sdk.Frame) bool { return o.interval.Due(f) }

// Add gives f a node for each object among found, in pixels of f, of a class that is wanted. It
// reorders found.
func (o *Objects) Add(f *sdk.Frame, found []Found) {
	for _, x := range Suppress(found, o.overlap) {
		if box, ok := Within(x.Box, f.Width(), f.Height()); ok && o.wanted[x.Class] {
			f.Add(o.names[x.Class], box.Polygon()).SetConfidence(Round(x.Score, 1e4))
		}
	}
}
