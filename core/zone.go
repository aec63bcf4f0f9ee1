package core

import (
	"cmp"
	"math"
	"time"
)

// ZoneID is given by the store; it is unique within a server, from 1.
type ZoneID int64

// ScreenZone is the name of the zone that every stream has: the whole frame.
const ScreenZone = "Screen"

// Zone is a part of a stream's picture in which objects are counted. Two points are a line, three
// or more the corners of a simple polygon; none are the whole frame.
type Zone struct {
	ID     ZoneID
	Stream StreamNumber
	Name   string
	Coords Polygon // pixels of the frame
}

// IsScreen says whether the zone is the whole frame.
func (z Zone) IsScreen() bool { return len(z.Coords) == 0 }

// IsLine says whether the zone is a line.
func (z Zone) IsLine() bool { return len(z.Coords) == 2 }

// Anchor is the point of a detection's box that is looked at: the middle of a side, or of the box.
type Anchor string

// The anchors. Bottom, where an object stands, is the one that zones use by themselves.
const (
	AnchorBottom Anchor = "bottom"
	AnchorTop    Anchor = "top"
	AnchorLeft   Anchor = "left"
	AnchorRight  Anchor = "right"
	AnchorCenter Anchor = "center"
)

// Anchors are all of them.
var Anchors = []Anchor{AnchorBottom, AnchorTop, AnchorLeft, AnchorRight, AnchorCenter}

// Of gives the anchor's place on a box. An unknown anchor is the bottom one.
func (a Anchor) Of(b Box) Point {
	c := b.Center()
	switch a {
	case AnchorTop:
		return Point{c.X, b.Y1}
	case AnchorLeft:
		return Point{b.X1, c.Y}
	case AnchorRight:
		return Point{b.X2, c.Y}
	case AnchorCenter:
		return c
	default:
		return Point{c.X, b.Y2}
	}
}

// AlarmID and AlertID are given by the store; they are unique within a server, from 1.
type (
	AlarmID int64
	AlertID int64
)

// Alarm watches a zone. It is on while all its conditions hold, within its active hours.
type Alarm struct {
	ID     AlarmID
	Zone   ZoneID
	Stream StreamNumber
	Name   string
	Hours  *ActiveHours // nil: always
	Counts []CountCondition
	Rates  []RateCondition
}

// ActiveHours are a part of every day, in UTC, from Start up to but not including End, both as
// time since midnight. Start after End goes over midnight; equal ones are the whole day. Hours that
// are off are kept, and do not count: they are the whole day too.
type ActiveHours struct {
	Start, End time.Duration
	Off        bool
}

// Include says whether the time lies within the hours.
func (h ActiveHours) Include(at time.Time) bool {
	at = at.UTC()
	day := at.Sub(time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC))
	switch {
	case h.Off:
		return true
	case h.Start < h.End:
		return day >= h.Start && day < h.End
	case h.Start > h.End:
		return day >= h.Start || day < h.End
	default:
		return true
	}
}

// Objects says which detections a condition is about.
type Objects struct {
	Class     string
	Attribute *AttributeValue // nil: any
	Anchor    Anchor
}

// Include says whether a detection is one of them.
func (o Objects) Include(n *Node) bool {
	return n.Class == o.Class && (o.Attribute == nil || n.Attributes[o.Attribute.Name] == o.Attribute.Value)
}

// Comparison is how a number is held against a limit.
type Comparison string

// The comparisons: the first four for counts, the last two for rates.
const (
	Greater      Comparison = ">"
	Less         Comparison = "<"
	Equal        Comparison = "="
	NotEqual     Comparison = "!="
	GreaterEqual Comparison = ">="
	LessEqual    Comparison = "<="
)

// Holds compares a number with the limit. An unknown comparison never holds.
func (c Comparison) Holds(n, limit float64) bool {
	switch c {
	case Greater:
		return n > limit
	case Less:
		return n < limit
	case Equal:
		return n == limit
	case NotEqual:
		return n != limit
	case GreaterEqual:
		return n >= limit
	case LessEqual:
		return n <= limit
	}
	return false
}

// CountCondition holds when the number of objects in the zone has compared true for at least the
// share Threshold of the last Window. A window of 0 looks at the frame alone.
type CountCondition struct {
	ID        int64
	Objects   Objects
	Test      Comparison
	Value     float64
	Window    time.Duration
	Given     float64 // the window in seconds, where Window is rounded; else 0
	Threshold float64 // 0..1; 0: once within the window is enough
}

// Movement is a way into or out of a zone.
type Movement string

// The movements.
const (
	Entering          Movement = "entering"
	Exiting           Movement = "exiting"
	EnteringOrExiting Movement = "entering_or_exiting"
)

// RateCondition holds when the number of objects that moved so within the last Window compares
// true with Change. What asks for few holds only after a whole window was watched.
type RateCondition struct {
	ID       int64
	Objects  Objects
	Test     Comparison
	Change   float64
	Window   time.Duration
	Given    float64 // the window in seconds, where Window is rounded; else 0
	Movement Movement
}

// Window gives the window of a condition, to the nanosecond, and what it is rounded from; that is
// 0 where it is not.
func Window(seconds float64) (window time.Duration, given float64) {
	window = time.Duration(math.Round(seconds * float64(time.Second)))
	if window.Seconds() != seconds {
		given = seconds
	}
	return window, given
}

// Seconds gives the window as it was given.
func (c CountCondition) Seconds() float64 { return cmp.Or(c.Given, c.Window.Seconds()) }

// Seconds gives the window as it was given.
func (c RateCondition) Seconds() float64 { return cmp.Or(c.Given, c.Window.Seconds()) }

// Alert is one time that an alarm was on.
type Alert struct {
	ID       AlertID
	Alarm    AlarmID
	Zone     ZoneID
	Stream   StreamNumber
	Start    time.Time
	End      time.Time // zero: it is on
	Verified *bool     // nil: nobody has looked at it
	Frame    BlobID    // the picture saved when it began; 0: none
}
