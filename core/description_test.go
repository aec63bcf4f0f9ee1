package core

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// In the tables: D classes, A attributes, ENC encoded, TRK tracked, X keys of extra data, as
// in the capsule contract.

type part func(*Description)

func D(classes ...string) part { return func(d *Description) { d.Detections = classes } }
func X(keys ...string) part    { return func(d *Description) { d.ExtraData = keys } }
func ENC(d *Description)       { d.Encoded = true }
func TRK(d *Description)       { d.Tracked = true }
func A(name string, values ...string) part {
	return func(d *Description) { d.Attributes = append(d.Attributes, Attribute{name, values}) }
}

func describe(s Size, parts ...part) Description {
	d := Description{Size: s}
	for _, p := range parts {
		p(&d)
	}
	return d
}

func N(p ...part) Description   { return describe(SizeNone, p...) }
func S(p ...part) Description   { return describe(SizeSingle, p...) }
func All(p ...part) Description { return describe(SizeAll, p...) }

func TestDifference(t *testing.T) {
	t.Parallel()
	gait := []string{"walking", "running"}
	for name, c := range map[string]struct{ a, b, ab, ba Description }{
		"DF1":  {N(), N(), N(), N()},
		"DF2":  {S(), S(ENC), S(ENC), S()},
		"DF3":  {S(D("car")), All(D("car", "person")), All(D("person")), S()},
		"DF4":  {S(A("Gait", gait...)), S(A("Gait", gait...), A("Speeding", "yeah", "naw")), S(A("Speeding", "yeah", "naw")), S()},
		"DF5":  {S(X("behavior_confidence")), S(X("behavior_confidence", "det_score")), S(X("det_score")), S()},
		"DF6":  {S(), S(TRK), S(TRK), S()},
		"DF7":  {S(A("G", "w")), S(A("G", "w", "r")), S(), S()},
		"DF8":  {S(ENC), S(ENC), S(), S()},
		"DF9":  {S(), S(D("a", "a", "b")), S(D("a", "b")), S()},
		"DF10": {N(), All(D("person")), All(D("person")), N()},
		"DF11": {S(D("car", "truck")), S(D("car")), S(), S(D("truck"))},
		"DF12": {S(D("person")), S(), S(), S(D("person"))},
		"order of b": {
			S(A("b", "1"), D("x"), X("k")), All(D("z", "x", "y"), A("c", "1"), A("b", "2"), A("a", "3", "4"), X("q", "k", "p")),
			All(D("z", "y"), A("c", "1"), A("a", "3", "4"), X("q", "p")), S(),
		},
	} {
		if got := c.a.Difference(c.b); !got.Equal(c.ab) || !slices.EqualFunc(got.Attributes, c.ab.Attributes, sameAttribute) {
			t.Errorf("%s: a.diff(b) = %s, want %s", name, got, c.ab)
		}
		if got := c.b.Difference(c.a); !got.Equal(c.ba) {
			t.Errorf("%s: b.diff(a) = %s, want %s", name, got, c.ba)
		}
	}
}

func sameAttribute(a, b Attribute) bool {
	return a.Name == b.Name && slices.Equal(a.Values, b.Values)
}

func TestDifferenceSharesNothing(t *testing.T) {
	t.Parallel()
	b := S(A("g", "x"), D("c"))
	d := S().Difference(b)
	d.Attributes[0].Values[0], d.Detections[0] = "spoilt", "spoilt"
	if b.Attributes[0].Values[0] != "x" || b.Detections[0] != "c" {
		t.Error("a difference writes into its operand")
	}
}

func person(change ...func(*Node)) *Node {
	n := &Node{Class: "person"}
	for _, c := range change {
		c(n)
	}
	return n
}

func class(c string) func(*Node)        { return func(n *Node) { n.Class = c } }
func encoded(n *Node)                   { n.Encoding = Encoding{1, 2} }
func withTrack(n *Node)                 { n.TrackID = "0b4ae1a6-0d2c-4c5e-9c7b-6f0f3f0a7f10" }
func extra(key, raw string) func(*Node) { return func(n *Node) { setExtra(n, key, raw) } }
func setExtra(n *Node, key, raw string) {
	if n.ExtraData == nil {
		n.ExtraData = ExtraData{}
	}
	n.ExtraData[key] = json.RawMessage(raw)
}

func value(category, v string) func(*Node) {
	return func(n *Node) {
		if n.Attributes == nil {
			n.Attributes = map[string]string{}
		}
		n.Attributes[category] = v
	}
}

func TestDescribesTable(t *testing.T) {
	t.Parallel()
	uniform := A("Uniform", "Police", "Worker", "Civilian")
	gender := A("Gender", "boy", "girl")
	descriptions := []Description{
		S(), S(D("person", "dog")), S(X("behavior_confidence")), S(gender), S(D("person"), ENC), S(D("hair", "cat"), ENC, uniform), S(uniform, gender), S(TRK),
	}
	for name, c := range map[string]struct {
		node *Node
		want string
	}{
		"person":             {person(), "TTFFFFFF"},
		"person, encoding":   {person(encoded), "TTFFTFFF"},
		"hair, boy":          {person(class("hair"), value("Gender", "boy")), "TFFTFFFF"},
		"cat in uniform":     {person(class("cat"), value("Uniform", "Police"), value("Gender", "girl"), encoded), "TFFTFTTF"},
		"person, irrelevant": {person(value("more", "irrelevant"), encoded, extra("behavior_confidence", "0.9991999")), "TTTFTFFF"},
		"person, track":      {person(withTrack), "TTFFFFFT"},
	} {
		got := ""
		for i, d := range descriptions {
			ok, err := d.Describes(c.node)
			if err != nil {
				t.Errorf("%s, d%d: %v", name, i, err)
			}
			got += map[bool]string{true: "T", false: "F"}[ok]
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	ok, err := S(gender).Describes(person(value("Gender", "NOT EXISTENT VALUE")))
	var undeclared *UndeclaredValueError
	if ok || !errors.As(err, &undeclared) || undeclared.Category != "Gender" || undeclared.Value != "NOT EXISTENT VALUE" || !slices.Equal(undeclared.Allowed, []string{"boy", "girl"}) {
		t.Errorf("an undeclared value: %v, %v", ok, err)
	}
	if want := `attribute Gender="NOT EXISTENT VALUE" is not one of [boy, girl]`; err.Error() != want {
		t.Errorf("got %s", err)
	}
}

func TestDescribesEdges(t *testing.T) {
	t.Parallel()
	ab := S(A("A", "1"), A("B", "1"))
	for name, c := range map[string]struct {
		d    Description
		n    *Node
		want string
	}{
		"DS1":                {S(), person(class("zzz")), "T"},
		"DS2":                {S(D("Person")), person(), "F"},
		"DS3":                {S(), person(encoded), "T"},
		"DS4":                {S(), person(withTrack), "T"},
		"DS5":                {S(ENC), person(func(n *Node) { n.Encoding = Encoding{} }), "T"},
		"DS6":                {S(X("k")), person(extra("k", "null")), "T"},
		"DS7":                {S(X("k", "j")), person(extra("k", "1")), "F"},
		"DS8":                {S(A("A", "1")), person(), "F"},
		"DS9":                {S(A("A", "1")), person(value("B", "1")), "F"},
		"DS10":               {S(A("A", "1")), person(value("A", "2")), "ERR"},
		"DS11":               {ab, person(value("A", "2")), "ERR"},
		"DS12":               {ab, person(value("B", "2")), "F"},
		"DS13":               {S(A("A")), person(value("A", "x")), "ERR"},
		"DS14":               {S(D("car"), A("A", "1")), person(value("A", "2")), "F"},
		"DS15":               {S(ENC, A("A", "1")), person(value("A", "2")), "F"},
		"DS16":               {S(X("q"), A("A", "1")), person(value("A", "2")), "F"},
		"DS17":               {S(A("A", "1")), person(value("A", "1"), value("Z", "?")), "T"},
		"DS18 none":          {N(), person(class("x"), encoded), "T"},
		"DS18 all":           {All(), person(), "T"},
		"DS19":               {S(A("A", "1")), person(func(n *Node) { n.Children = []*Node{person(value("A", "1"))} }), "F"},
		"no track, bad":      {S(TRK, A("A", "1")), person(value("A", "2")), "F"},
		"second value bad":   {ab, person(value("A", "1"), value("B", "2")), "ERR"},
		"empty value listed": {S(A("A", "")), person(value("A", "")), "T"},
	} {
		ok, err := c.d.Describes(c.n)
		got := map[bool]string{true: "T", false: "F"}[ok]
		if err != nil {
			got = "ERR"
		}
		if got != c.want || (err != nil && ok) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b Description
		want bool
	}{
		"order of classes":    {S(D("a", "b")), S(D("b", "a")), false},
		"order of keys":       {S(X("a", "b")), S(X("b", "a")), false},
		"order of categories": {S(A("a", "1"), A("b", "2")), S(A("b", "2"), A("a", "1")), true},
		"order of values":     {S(A("a", "1", "2")), S(A("a", "2", "1")), false},
		"nil and empty":       {Description{Size: SizeAll}, Description{Size: SizeAll, Detections: []string{}, Attributes: []Attribute{}, ExtraData: []string{}}, true},
		"size":                {S(), All(), false},
		"encoded":             {S(), S(ENC), false},
		"tracked":             {S(TRK), S(), false},
		"a category more":     {S(A("a", "1")), S(A("a", "1"), A("b", "1")), false},
		"same":                {S(D("x"), A("a", "1"), ENC, TRK, X("k")), S(D("x"), A("a", "1"), ENC, TRK, X("k")), true},
	} {
		if c.a.Equal(c.b) != c.want || c.b.Equal(c.a) != c.want {
			t.Errorf("%s: want %v", name, c.want)
		}
	}
}

func TestDescriptionString(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]Description{
		"none":         N(),
		"all [person]": All(D("person")),
		"single [a, b] {g: x|y} {h: z} +encoding +track keys k, l": S(D("a", "b"), A("g", "x", "y"), A("h", "z"), ENC, TRK, X("k", "l")),
		"size 9": {Size: 9},
	} {
		if got := d.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	d := S(D("car"), ENC, TRK, X("confidence", "q"), A("gait", "w"), A("mood", "h"))
	for name, c := range map[string]struct {
		n    *Node
		want []string
	}{
		"other class": {person(), nil},
		"everything":  {person(class("car")), []string{"encoding", "track", "key confidence", "key q", "attribute gait", "attribute mood"}},
		"some": {
			person(class("car"), encoded, withTrack, extra("q", "null"), extra("confidence", "1"), value("gait", "x")),
			[]string{`attribute gait: value "x" is not declared`, "attribute mood"},
		},
		"nothing": {person(class("car"), encoded, withTrack, extra("q", "1"), extra("confidence", "1"), value("gait", "w"), value("mood", "h")), nil},
	} {
		if got := d.Missing(c.n); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q", name, got)
		}
		ok, _ := d.Describes(c.n)
		if ok != (name == "nothing") {
			t.Errorf("%s: described %v", name, ok)
		}
	}
}

func TestDescriptionValidate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		d    Description
		want string
	}{
		"none":              {N(), ""},
		"full":              {S(D("a b"), A("g", "x", "y"), ENC, TRK, X("k")), ""},
		"zero":              {Description{}, "size: 0 is not one of none, single, all"},
		"empty class":       {S(D("a", " ")), "detections: entry 2 is empty"},
		"class twice":       {S(D("a", "a")), `detections: "a" stands there twice`},
		"key twice":         {S(X("k", "k")), `extra_data: "k" stands there twice`},
		"no values":         {S(A("g")), "attributes: g has no values"},
		"empty value":       {S(A("g", "")), "attributes: g: entry 1 is empty"},
		"empty category":    {S(A("", "v")), "attributes: entry 1 is empty"},
		"category twice":    {S(A("g", "v"), A("g", "w")), `attributes: "g" stands there twice`},
		"values twice":      {S(A("g", "v", "v")), `attributes: g: "v" stands there twice`},
		"size out of range": {Description{Size: -1}, "size: -1 is not one of none, single, all"},
	} {
		err := c.d.Validate()
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestSizeText(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Size{"none": SizeNone, "single": SizeSingle, "all": SizeAll} {
		b, err := json.Marshal(s)
		if err != nil || string(b) != `"`+want+`"` {
			t.Errorf("%s: %s, %v", want, b, err)
		}
		var back Size
		if err := json.Unmarshal(b, &back); err != nil || back != s {
			t.Errorf("%s back: %v, %v", want, back, err)
		}
	}
	if SizeNone != 1 || SizeSingle != 2 || SizeAll != 3 {
		t.Error("the numbers of the wire have changed")
	}
	var s Size
	if err := s.UnmarshalText([]byte("ALL")); err == nil || !strings.Contains(err.Error(), "none, single, all") {
		t.Errorf("ALL: %v", err)
	}
	if _, err := Size(0).MarshalText(); err == nil {
		t.Error("size 0 has a text")
	}
}
