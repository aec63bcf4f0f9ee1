package core

import (
	"fmt"
	"slices"
	"strings"
)

// Size says how many nodes a capsule is called with, or gives back.
type Size int

// The sizes. The numbers are those of the wire.
const (
	SizeNone   Size = 1 // only the frame
	SizeSingle Size = 2 // once for each matching node
	SizeAll    Size = 3 // once for each frame, with all matching nodes
)

var sizeNames = map[Size]string{SizeNone: "none", SizeSingle: "single", SizeAll: "all"}

// String gives none, single or all.
func (s Size) String() string {
	if n, ok := sizeNames[s]; ok {
		return n
	}
	return fmt.Sprintf("size %d", int(s))
}

// MarshalText writes none, single or all.
func (s Size) MarshalText() ([]byte, error) {
	if n, ok := sizeNames[s]; ok {
		return []byte(n), nil
	}
	return nil, fmt.Errorf("size %d is not one of none, single, all", int(s))
}

// UnmarshalText reads none, single or all.
func (s *Size) UnmarshalText(b []byte) error {
	for k, n := range sizeNames {
		if n == string(b) {
			*s = k
			return nil
		}
	}
	return fmt.Errorf("size %q is not one of none, single, all", b)
}

// Attribute is a category with the values that a node may have in it.
type Attribute struct {
	Name   string
	Values []string
}

// Description (a NodeDescription) says which nodes a capsule needs, or what its nodes have
// when it is done. As a filter every field must hold; an empty field does not filter.
type Description struct {
	Size       Size
	Detections []string    // any of these classes; empty: any class
	Attributes []Attribute // every category present, with one of its values; order matters
	Encoded    bool        // true: must have an encoding; false: does not matter
	Tracked    bool        // true: must have a track; false: does not matter
	ExtraData  []string    // every key present, its value does not matter
}

// UndeclaredValueError says that a node has a value which the description's category does not list.
type UndeclaredValueError struct {
	Category, Value string
	Allowed         []string
}

// Error names category, value and what would be allowed.
func (e *UndeclaredValueError) Error() string {
	return fmt.Sprintf("attribute %s=%q is not one of [%s]", e.Category, e.Value, strings.Join(e.Allowed, ", "))
}

// Describes says whether n satisfies d. A value outside a category's list is an
// *UndeclaredValueError, not false: the caller decides (a producer's violation on output, no
// match on input). Categories are looked at in the order of declaration, and only after every
// other field holds. Size and children are not looked at.
func (d Description) Describes(n *Node) (bool, error) {
	if len(d.Detections) > 0 && !slices.Contains(d.Detections, n.Class) {
		return false, nil
	}
	if d.Encoded && n.Encoding == nil {
		return false, nil
	}
	if d.Tracked && n.TrackID == "" {
		return false, nil
	}
	for _, k := range d.ExtraData {
		if _, ok := n.ExtraData[k]; !ok {
			return false, nil
		}
	}
	for _, a := range d.Attributes {
		v, ok := n.Attributes[a.Name]
		if !ok {
			return false, nil
		}
		if !slices.Contains(a.Values, v) {
			return false, &UndeclaredValueError{Category: a.Name, Value: v, Allowed: a.Values}
		}
	}
	return true, nil
}

// Missing lists what keeps n from satisfying d although its class fits, as "key confidence",
// "attribute gait", "track", "encoding"; nothing when the class does not fit or d describes n.
// It feeds the starvation report.
func (d Description) Missing(n *Node) []string {
	if len(d.Detections) > 0 && !slices.Contains(d.Detections, n.Class) {
		return nil
	}
	var m []string
	if d.Encoded && n.Encoding == nil {
		m = append(m, "encoding")
	}
	if d.Tracked && n.TrackID == "" {
		m = append(m, "track")
	}
	for _, k := range d.ExtraData {
		if _, ok := n.ExtraData[k]; !ok {
			m = append(m, "key "+k)
		}
	}
	for _, a := range d.Attributes {
		if v, ok := n.Attributes[a.Name]; !ok {
			m = append(m, "attribute "+a.Name)
		} else if !slices.Contains(a.Values, v) {
			m = append(m, fmt.Sprintf("attribute %s: value %q is not declared", a.Name, v))
		}
	}
	return m
}

// Difference gives what b adds over d. The size is b's; what d has and b lacks is never
// reported; a category that both have is not reported even if its values differ. The order is
// b's, without repetitions.
func (d Description) Difference(b Description) Description {
	r := Description{
		Size:       b.Size,
		Detections: added(d.Detections, b.Detections),
		Encoded:    b.Encoded && !d.Encoded,
		Tracked:    b.Tracked && !d.Tracked,
		ExtraData:  added(d.ExtraData, b.ExtraData),
	}
	for _, a := range b.Attributes {
		if !d.hasAttribute(a.Name) {
			r.Attributes = append(r.Attributes, Attribute{a.Name, slices.Clone(a.Values)})
		}
	}
	return r
}

func (d Description) hasAttribute(name string) bool {
	return slices.ContainsFunc(d.Attributes, func(a Attribute) bool { return a.Name == name })
}

func added(a, b []string) []string {
	var r []string
	for _, s := range b {
		if !slices.Contains(a, s) && !slices.Contains(r, s) {
			r = append(r, s)
		}
	}
	return r
}

// Equal compares field by field: the order of lists matters, the order of categories does not,
// nil and empty are the same.
func (d Description) Equal(o Description) bool {
	if d.Size != o.Size || d.Encoded != o.Encoded || d.Tracked != o.Tracked || len(d.Attributes) != len(o.Attributes) ||
		!slices.Equal(d.Detections, o.Detections) || !slices.Equal(d.ExtraData, o.ExtraData) {
		return false
	}
	for _, a := range d.Attributes {
		i := slices.IndexFunc(o.Attributes, func(b Attribute) bool { return a.Name == b.Name })
		if i < 0 || !slices.Equal(a.Values, o.Attributes[i].Values) {
			return false
		}
	}
	return true
}

// String leaves out whatever is empty: "all [person, car] {gait: walking|running} +track +encoding keys confidence".
func (d Description) String() string {
	parts := []string{d.Size.String()}
	if len(d.Detections) > 0 {
		parts = append(parts, "["+strings.Join(d.Detections, ", ")+"]")
	}
	for _, a := range d.Attributes {
		parts = append(parts, "{"+a.Name+": "+strings.Join(a.Values, "|")+"}")
	}
	if d.Encoded {
		parts = append(parts, "+encoding")
	}
	if d.Tracked {
		parts = append(parts, "+track")
	}
	if len(d.ExtraData) > 0 {
		parts = append(parts, "keys "+strings.Join(d.ExtraData, ", "))
	}
	return strings.Join(parts, " ")
}

// Validate refuses a size that is none of the three, empty strings, repeated entries and a
// category without values.
func (d Description) Validate() error {
	if _, ok := sizeNames[d.Size]; !ok {
		return fmt.Errorf("size: %d is not one of none, single, all", int(d.Size))
	}
	if err := wellFormed("detections", d.Detections); err != nil {
		return err
	}
	if err := wellFormed("extra_data", d.ExtraData); err != nil {
		return err
	}
	names := make([]string, 0, len(d.Attributes))
	for _, a := range d.Attributes {
		names = append(names, a.Name)
		if len(a.Values) == 0 {
			return fmt.Errorf("attributes: %s has no values", a.Name)
		}
		if err := wellFormed("attributes: "+a.Name, a.Values); err != nil {
			return err
		}
	}
	return wellFormed("attributes", names)
}

func wellFormed(field string, list []string) error {
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		if strings.TrimSpace(s) == "" {
			return fmt.Errorf("%s: entry %d is empty", field, i+1)
		}
		if seen[s] {
			return fmt.Errorf("%s: %q stands there twice", field, s)
		}
		seen[s] = true
	}
	return nil
}
