package plan

import (
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
)

type reasonKind int

const (
	aClass reasonKind = iota
	anAttribute
	aKey
	encoded
	tracked
	everything
	aGate // a class that opens a gate
)

// reason is a class or a trait: what one capsule gives and another needs.
type reason struct {
	kind reasonKind
	name string
}

// text is how the reason stands in Edge.Why.
func (r reason) text() string {
	switch r.kind {
	case aClass:
		return "class " + r.name
	case anAttribute:
		return "attribute " + r.name
	case aKey:
		return "key " + r.name
	case encoded:
		return "trait encoded"
	case tracked:
		return "trait tracked"
	case aGate:
		return "gate " + r.name
	default:
		return "any node"
	}
}

// short is how the reason stands after "missing trait:".
func (r reason) short() string { return strings.TrimPrefix(r.text(), "trait ") }

// interner gives every reason its number.
type interner struct {
	reasons []reason
	number  map[reason]int32
}

func newInterner(list []Capsule) *interner {
	in := &interner{number: map[reason]int32{{kind: everything}: 0, {kind: encoded}: 0, {kind: tracked}: 0}}
	for _, c := range list {
		for _, d := range []*core.Description{&c.Input, &c.Output} {
			for _, k := range d.Detections {
				in.number[reason{aClass, k}] = 0
			}
			for _, k := range d.ExtraData {
				in.number[reason{aKey, k}] = 0
			}
			for _, a := range d.Attributes {
				in.number[reason{anAttribute, a.Name}] = 0
			}
		}
		if c.Gate != "" {
			in.number[reason{aGate, c.Gate}] = 0
		}
	}
	in.reasons = make([]reason, 0, len(in.number))
	for r := range in.number {
		in.reasons = append(in.reasons, r)
	}
	slices.SortFunc(in.reasons, byText)
	for i, r := range in.reasons {
		in.number[r] = int32(i)
	}
	return in
}

// byText sorts as the texts do: "any node", "attribute …", "class …", "gate …", "key …", "trait …".
func byText(a, b reason) int {
	if a.kind != b.kind {
		order := [...]int{aClass: 2, anAttribute: 1, aGate: 3, aKey: 4, encoded: 5, tracked: 6, everything: 0}
		return order[a.kind] - order[b.kind]
	}
	return strings.Compare(a.name, b.name)
}

// set gives the numbers of names, ascending and once each.
func (in *interner) set(kind reasonKind, names []string) []int32 {
	if len(names) == 0 {
		return nil
	}
	s := make([]int32, 0, len(names))
	for _, n := range names {
		s = append(s, in.number[reason{kind, n}])
	}
	slices.Sort(s)
	return slices.Compact(s)
}

// hardTraits are those of d without keys: attributes, encoded, tracked.
func (in *interner) hardTraits(d *core.Description) []int32 {
	var s []int32
	for _, a := range d.Attributes {
		s = append(s, in.number[reason{anAttribute, a.Name}])
	}
	if d.Encoded {
		s = append(s, in.number[reason{kind: encoded}])
	}
	if d.Tracked {
		s = append(s, in.number[reason{kind: tracked}])
	}
	slices.Sort(s)
	return slices.Compact(s)
}

func (in *interner) read(c *Capsule) capsule {
	classesIn, classesOut := in.set(aClass, c.Input.Detections), in.set(aClass, c.Output.Detections)
	hardIn, keysIn := in.hardTraits(&c.Input), in.set(aKey, c.Input.ExtraData)
	traits := minus(in.hardTraits(&c.Output), hardIn)
	traits = append(traits, minus(in.set(aKey, c.Output.ExtraData), keysIn)...)
	slices.Sort(traits)
	r := capsule{
		none:    c.Input.Size == core.SizeNone,
		creates: minus(classesOut, classesIn),
		traits:  traits,
		classes: classesOut,
		gate:    -1, opener: -1,
	}
	if c.Gate != "" {
		r.gate = in.number[reason{aGate, c.Gate}]
		if k, ok := in.number[reason{aClass, c.Gate}]; ok {
			r.opener = k
		}
	}
	if len(r.classes) == 0 {
		r.classes = classesIn
	}
	if !r.none {
		r.accepts, r.hard, r.keys = classesIn, hardIn, keysIn
	}
	return r
}

// minus gives what is in a and not in b, both ascending. It is core.Description.Difference on
// numbers, without its cost on long lists.
func minus(a, b []int32) []int32 {
	if len(b) == 0 {
		return a
	}
	var r []int32
	for _, x := range a {
		if _, ok := slices.BinarySearch(b, x); !ok {
			r = append(r, x)
		}
	}
	return r
}
