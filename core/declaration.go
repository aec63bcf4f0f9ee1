package core

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// PictureSize says which size of picture a capsule wants.
type PictureSize struct {
	MaxSide int // > 0: scaled down so that the longer side is at most this
	Width   int // > 0 together with Height: exactly this size, whatever the aspect
	Height  int
	Filter  Filter // how it is scaled
}

// Native says whether the picture is wanted as it comes.
func (p PictureSize) Native() bool { return p == PictureSize{} }

// Validate names what is wrong with the size.
func (p PictureSize) Validate() error {
	switch {
	case min(p.MaxSide, p.Width, p.Height) < 0 || max(p.MaxSide, p.Width, p.Height) > 1<<14:
		return fmt.Errorf("sides are within 1..16384")
	case (p.Width > 0) != (p.Height > 0) || (p.MaxSide > 0 && p.Width > 0):
		return fmt.Errorf("either max_side, or width and height")
	case p.Filter != Mean && !slices.Contains(Filters, p.Filter):
		return fmt.Errorf("filter %q is not one of %v", p.Filter, Filters)
	}
	return nil
}

// Filter says how a picture is scaled, and what that does to its colours.
type Filter string

// The filters.
const (
	Mean   Filter = ""       // pixels are averaged where more than two become one: nothing flickers
	Linear Filter = "linear" // the four pixels around a place make one: as most networks are trained
	// OpenCV is Linear with the very values that cv2.VideoCapture and cv2.resize (INTER_LINEAR) give on
	// x86, BT.601 and a level too dark: for comparisons and thresholds that were found there. It has
	// them in RGB and BGR.
	OpenCV Filter = "opencv"
)

// Filters lists those that have a name.
var Filters = []Filter{Linear, OpenCV}

// Fit gives the size that a frame of w by h gets. A picture is never enlarged for MaxSide, and
// no side falls below 1.
func (p PictureSize) Fit(w, h int) (int, int) {
	switch {
	case p.Width > 0 && p.Height > 0:
		return p.Width, p.Height
	case p.MaxSide > 0 && max(w, h) > p.MaxSide:
		if w >= h {
			return p.MaxSide, max(1, (h*p.MaxSide+w/2)/w)
		}
		return max(1, (w*p.MaxSide+h/2)/h), p.MaxSide
	default:
		return w, h
	}
}

// Metric says how encodings of a capsule are compared.
type Metric string

// The metrics.
const (
	Cosine    Metric = "cosine"
	Euclidean Metric = "euclidean"
)

// Declaration is everything that is known of a capsule without running it: the content of
// its capsule.yaml.
//
// An entry ${name} in the detections, attribute values or extra_data of a description stands
// for the value of the option of that name (all values of a list); Resolve puts them in.
type Declaration struct {
	Name        string
	Version     string
	API         string // "1.0": major.minor of the capsule contract
	Description string
	Input       Description
	Output      Description
	Options     []Option
	Formats     []PixelFormat // accepted, best first; empty: needs no pixels
	Picture     PictureSize
	Stateful    bool          // frames of a stream come one at a time, in order
	EveryN      int           // called on every n-th frame; 0 and 1: every frame
	Gate        Gate          // the zero value: it is not gated
	Deadline    time.Duration // for one frame; 0: the host's default
	Metric      Metric        // encoders only
	Entry       string        // the program, relative to the manifest
	OnDemand    bool          // not used unless it is named: it does nothing without settings
	Models      []Model       // files that it needs beside itself
	Needs       Needs         // what it takes of the machine; all else is refused where the system can
}

// Capability gives what the capsule adds: output over input.
func (d Declaration) Capability() Description { return d.Input.Difference(d.Output) }

// Option finds a declared option.
func (d Declaration) Option(name string) (Option, bool) {
	i := slices.IndexFunc(d.Options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return Option{}, false
	}
	return d.Options[i], true
}

// Complete checks the given settings and fills in the defaults of the others.
func (d Declaration) Complete(given map[string]any) (Values, error) {
	v := make(Values, len(d.Options))
	for _, o := range d.Options {
		x, err := o.Check(o.Default)
		if err != nil {
			return nil, &Fault{Op: "capsule " + d.Name, Kind: Invalid, Err: err}
		}
		v[o.Name] = x
	}
	for _, name := range sortedKeys(given) {
		o, ok := d.Option(name)
		if !ok {
			return nil, Faultf(Invalid, "capsule "+d.Name, "", "there is no option %q; it has: %s", name, d.optionNames())
		}
		x, err := o.Check(given[name])
		if err != nil {
			return nil, &Fault{Op: "capsule " + d.Name, Kind: Invalid, Err: err}
		}
		v[name] = x
	}
	return v, nil
}

func (d Declaration) optionNames() string {
	names := make([]string, 0, len(d.Options))
	for _, o := range d.Options {
		names = append(names, o.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Resolve gives the declaration with every ${option} of its descriptions replaced by the
// option's value.
func (d Declaration) Resolve(v Values) (Declaration, error) {
	var err error
	if d.Input, err = d.Input.resolve(v); err != nil {
		return d, fmt.Errorf("capsule %s: input: %w", d.Name, err)
	}
	if d.Output, err = d.Output.resolve(v); err != nil {
		return d, fmt.Errorf("capsule %s: output: %w", d.Name, err)
	}
	return d, nil
}

func (d Description) resolve(v Values) (Description, error) {
	var err error
	if d.Detections, err = resolveList(d.Detections, v); err != nil {
		return d, err
	}
	if d.ExtraData, err = resolveList(d.ExtraData, v); err != nil {
		return d, err
	}
	attributes := make([]Attribute, 0, len(d.Attributes))
	for _, a := range d.Attributes {
		if a.Values, err = resolveList(a.Values, v); err != nil {
			return d, err
		}
		attributes = append(attributes, a)
	}
	d.Attributes = attributes
	return d, d.Validate()
}

func resolveList(list []string, v Values) ([]string, error) {
	out := make([]string, 0, len(list))
	for _, s := range list {
		name, ok := reference(s)
		if !ok {
			out = append(out, s)
			continue
		}
		switch x := v[name].(type) {
		case string:
			out = append(out, x)
		case []string:
			out = append(out, x...)
		default:
			return nil, fmt.Errorf("${%s} is not an option of type str, enum or list", name)
		}
	}
	return out, nil
}

// reference gives the option name of an entry ${name}.
func reference(s string) (string, bool) {
	if strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}") {
		return s[2 : len(s)-1], true
	}
	return "", false
}

// APIVersion is the version of the capsule contract that this build speaks.
const APIVersion = "1.0"

// Validate refuses a declaration that no engine could honour. It names the field as it is
// spelled in capsule.yaml.
func (d Declaration) Validate() error {
	for _, check := range []func() error{d.checkIdentity, d.checkDescriptions, d.checkOptions, d.checkPicture, d.checkModels, d.checkNeeds} {
		if err := check(); err != nil {
			return Faultf(Invalid, "capsule "+d.Name, "", "%w", err)
		}
	}
	return nil
}

func (d Declaration) checkIdentity() error {
	if !ValidName(d.Name) {
		return fmt.Errorf("name: %q has characters other than letters, digits and _", d.Name)
	}
	if strings.TrimSpace(d.Version) == "" {
		return fmt.Errorf("version: is empty")
	}
	if d.EveryN < 0 {
		return fmt.Errorf("every_n: %d is below 0", d.EveryN)
	}
	if d.Deadline < 0 {
		return fmt.Errorf("deadline: %s is below 0", d.Deadline)
	}
	if err := d.Gate.Validate(); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	return nil
}

func (d Declaration) checkDescriptions() error {
	if err := d.Input.Validate(); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if err := d.Output.Validate(); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if d.Output.Size == SizeNone {
		return fmt.Errorf("output: size: none says that the capsule gives nothing; use single or all")
	}
	if d.Input.Size == SizeNone && !d.Input.Equal(Description{Size: SizeNone}) {
		return fmt.Errorf("input: size: none takes no nodes, so nothing can be asked of them; use single or all")
	}
	if !d.Capability().Encoded {
		return nil
	}
	if o, ok := d.Option("recognition_threshold"); !ok || o.Type != FloatOption {
		return fmt.Errorf("options: an encoder needs the float option recognition_threshold")
	}
	if d.Metric != Cosine && d.Metric != Euclidean {
		return fmt.Errorf("metric: %q is not one of cosine, euclidean, and an encoder needs one", d.Metric)
	}
	return nil
}

func (d Declaration) checkOptions() error {
	names := map[string]bool{}
	for _, o := range d.Options {
		if err := o.Validate(); err != nil {
			return fmt.Errorf("options: %w", err)
		}
		if names[o.Name] {
			return fmt.Errorf("options: %q stands there twice", o.Name)
		}
		names[o.Name] = true
	}
	defaults, err := d.Complete(nil)
	if err != nil {
		return err
	}
	_, err = d.Resolve(defaults)
	return err
}

func (d Declaration) checkPicture() error {
	for i, f := range d.Formats {
		if !f.Known() {
			return fmt.Errorf("formats: %q is not one of %v", f, PixelFormats)
		}
		if slices.Contains(d.Formats[:i], f) {
			return fmt.Errorf("formats: %q stands there twice", f)
		}
	}
	if err := d.Picture.Validate(); err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	return nil
}
