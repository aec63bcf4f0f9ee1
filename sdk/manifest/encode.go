package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
)

// Encode writes a declaration as a person would write the file, in the order of the package
// comment. It refuses a declaration that is not valid; Decode gives back an equal one.
func Encode(m core.Declaration) ([]byte, error) { return Manifest{Declaration: m}.Encode() }

func encode(m core.Declaration, programs []Program, files []File) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	for _, p := range programs {
		if why := badEntry(p.Path); why != "" {
			return nil, core.Faultf(core.Invalid, "capsule "+m.Name, "", "entry: %q %s", p.Path, why)
		}
	}
	if err := core.CheckAPI(m.API); err != nil {
		return nil, fmt.Errorf("capsule %s: %w", m.Name, err)
	}
	var w writer
	w.identity(m)
	w.description("input", m.Input)
	w.description("output", m.Output)
	w.options(m.Options)
	w.running(m)
	w.entry(programs)
	w.files(files)
	if w.bad != "" {
		return nil, core.Faultf(core.Invalid, "capsule "+m.Name, "", "%s is not UTF-8 without bytes 0x7f", w.bad)
	}
	return w.Bytes(), nil
}

// writer collects the lines. bad is the first text that YAML cannot carry.
type writer struct {
	bytes.Buffer
	bad string
}

func (w *writer) line(indent int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *writer) identity(m core.Declaration) {
	w.line(0, "name: %s", w.quote(m.Name))
	w.line(0, "version: %s", w.versionText(m.Version))
	w.line(0, "api: %s # of the capsule contract", strconv.Quote(m.API))
	if m.Description != "" {
		w.line(0, "description: %s", w.quote(m.Description))
	}
}

// versionText leaves a plain counter a number.
func (w *writer) versionText(s string) string {
	if counter.MatchString(s) {
		return s
	}
	return w.quote(s)
}

var counter = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

var sizeNotes = map[core.Size]string{
	core.SizeNone:   "the frame alone",
	core.SizeSingle: "one node at a time",
	core.SizeAll:    "all nodes of a frame together",
}

func (w *writer) description(key string, d core.Description) {
	w.line(0, "%s:", key)
	w.line(1, "size: %s # %s", d.Size, sizeNotes[d.Size])
	if len(d.Detections) > 0 {
		w.line(1, "detections: %s", w.flow(d.Detections))
	}
	if len(d.Attributes) > 0 {
		w.line(1, "attributes:")
		for _, a := range d.Attributes {
			w.line(2, "%s: %s", w.quote(a.Name), w.flow(a.Values))
		}
	}
	if d.Encoded {
		w.line(1, "encoded: true")
	}
	if d.Tracked {
		w.line(1, "tracked: true")
	}
	if len(d.ExtraData) > 0 {
		w.line(1, "extra_data: %s", w.flow(d.ExtraData))
	}
}

func (w *writer) options(list []core.Option) {
	if len(list) == 0 {
		return
	}
	w.line(0, "options:")
	for _, o := range list {
		w.line(1, "%s:", w.quote(o.Name))
		w.line(2, "type: %s", o.Type)
		def, _ := o.Check(o.Default) // Validate has checked it
		w.line(2, "default: %s", w.defaultText(def))
		if o.Min != nil {
			w.line(2, "min: %s", limitText(o.Type, *o.Min))
		}
		if o.Max != nil {
			w.line(2, "max: %s", limitText(o.Type, *o.Max))
		}
		if len(o.Choices) > 0 {
			w.line(2, "choices: %s", w.flow(o.Choices))
		}
		if o.Description != "" {
			w.line(2, "description: %s", w.quote(o.Description))
		}
	}
}

func (w *writer) defaultText(v any) string {
	switch v := v.(type) {
	case string:
		return w.quote(v)
	case []string:
		return w.flow(v)
	case float64:
		return floatText(v)
	case time.Duration:
		return durationText(v)
	default:
		return fmt.Sprint(v)
	}
}

func (w *writer) running(m core.Declaration) {
	if len(m.Formats) > 0 {
		l := make([]string, 0, len(m.Formats))
		for _, f := range m.Formats {
			l = append(l, string(f))
		}
		w.line(0, "formats: %s # accepted pixels, best first", w.flow(l))
	}
	filter := ""
	if m.Picture.Filter != core.Mean {
		filter = ", filter: " + string(m.Picture.Filter)
	}
	switch p := m.Picture; {
	case p.MaxSide > 0:
		w.line(0, "picture: {max_side: %d%s}", p.MaxSide, filter)
	case p.Width > 0:
		w.line(0, "picture: {width: %d, height: %d%s}", p.Width, p.Height, filter)
	case filter != "":
		w.line(0, "picture: {%s}", filter[2:])
	}
	if m.Stateful {
		w.line(0, "stateful: true # frames of a stream come one at a time, in order")
	}
	if m.OnDemand {
		w.line(0, "on_demand: true # not used unless it is named")
	}
	if m.EveryN != 0 {
		w.line(0, "every_n: %d", m.EveryN)
	}
	w.gate(m.Gate)
	if m.Deadline != 0 {
		w.line(0, "deadline: %s # for one frame", durationText(m.Deadline))
	}
	if m.Metric != "" {
		w.line(0, "metric: %s", w.quote(string(m.Metric)))
	}
	w.models(m.Models)
	w.needs(m.Needs)
}

func (w *writer) gate(g core.Gate) {
	if g.IsZero() {
		return
	}
	var parts []string
	if g.Class != "" {
		parts = append(parts, "class: "+w.quote(g.Class))
	}
	if g.Hold > 0 {
		parts = append(parts, "hold: "+durationText(g.Hold))
	}
	if g.AtLeast > 0 {
		parts = append(parts, "at_least: "+durationText(g.AtLeast))
	}
	w.line(0, "gate: {%s} # runs only while others report the class", strings.Join(parts, ", "))
}

func floatText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// limitText writes the limit of a duration, which is kept in seconds, as a duration where
// that is the same number, else as seconds.
func limitText(t core.OptionType, x float64) string {
	if t == core.DurationOption {
		if d := time.Duration(x * float64(time.Second)); d.Seconds() == x {
			return durationText(d)
		}
	}
	return floatText(x)
}

// durationText is 1m for Go's 1m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// plain are texts that every YAML reader takes for text without quotes.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+()-]+)*$`)

// notText are words that one YAML reader or another takes for something else.
var notText = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}

func (w *writer) quote(s string) string {
	if plain.MatchString(s) && !slices.Contains(notText, strings.ToLower(s)) {
		return s
	}
	if (!utf8.ValidString(s) || strings.ContainsRune(s, 0x7f)) && w.bad == "" {
		w.bad = strconv.Quote(s)
	}
	var b strings.Builder
	e := json.NewEncoder(&b) // a JSON string is a YAML string
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always has a JSON form
	return strings.TrimSuffix(b.String(), "\n")
}

func (w *writer) flow(list []string) string {
	q := make([]string, 0, len(list))
	for _, s := range list {
		q = append(q, w.quote(s))
	}
	return "[" + strings.Join(q, ", ") + "]"
}
