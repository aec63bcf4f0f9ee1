package manifest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// faultAt names the file and, where known, line and column, what is wrong and what is wanted.
func faultAt(file string, line, col int, what, want string) *core.Fault {
	on := file
	if line > 0 {
		on += ":" + strconv.Itoa(line)
	}
	if line > 0 && col > 0 {
		on += ":" + strconv.Itoa(col)
	}
	f := core.Faultf(core.Invalid, "", on, "%s", what)
	f.Hint = want
	return f
}

// decoder reads one manifest. The first error stays, and what is read after it is ignored.
type decoder struct {
	file   string
	err    error
	places map[string]value // of every key read, by path: for errors found later

	programs []Program // what entry says
	files    []File
}

func (d *decoder) fail(at value, path, what, want string) {
	if d.err != nil {
		return
	}
	if path != "" {
		what = path + ": " + what
	}
	d.err = faultAt(d.file, at.line, at.col, what, want)
}

// key is one key of a mapping and what reads its value.
type key struct {
	name string
	read func(v value, path string)
}

// mapping reads v, whose keys are all of known.
func (d *decoder) mapping(v value, path string, known []key) {
	if v.kind != mapping {
		d.fail(v, path, v.what()+" is not a mapping", "want keys: "+strings.Join(names(known), ", "))
	}
	for _, f := range v.fields {
		if d.err != nil {
			return
		}
		d.field(f, path, known)
	}
}

func (d *decoder) field(f field, path string, known []key) {
	for _, k := range known {
		if k.name == f.key {
			p := join(path, f.key)
			d.places[p] = f.value
			k.read(f.value, p)
			return
		}
	}
	want := "known keys: " + strings.Join(names(known), ", ")
	if near := core.Nearest(f.key, names(known)); len(near) > 0 {
		want = fmt.Sprintf("did you mean %q? %s", near[0], want)
	}
	d.fail(value{line: f.line, col: f.col}, path, fmt.Sprintf("unknown key %q", shorten(f.key)), want)
}

func names(known []key) []string {
	n := make([]string, 0, len(known))
	for _, k := range known {
		n = append(n, k.name)
	}
	return n
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) declaration(v value) core.Declaration {
	d.checkAPI(v)
	m := core.Declaration{API: firstAPI, Input: core.Description{Size: core.SizeNone}}
	d.mapping(v, "", []key{
		{"name", d.name(&m.Name)},
		{"version", d.version(&m.Version)},
		{"api", d.version(&m.API)},
		{"description", d.text(&m.Description)},
		{"input", func(v value, p string) { m.Input = d.description(v, p) }},
		{"output", func(v value, p string) { m.Output = d.description(v, p) }},
		{"options", d.options(&m.Options)},
		{"formats", d.formats(&m.Formats)},
		{"picture", d.picture(&m.Picture)},
		{"stateful", d.bool(&m.Stateful)},
		{"on_demand", d.bool(&m.OnDemand)},
		{"every_n", d.int(&m.EveryN, 0, 1<<30)},
		{"gate", d.gate(&m.Gate)},
		{"deadline", d.deadline(&m.Deadline)},
		{"metric", d.metric(&m.Metric)},
		{"models", d.models(&m.Models)},
		{"needs", d.needs(&m.Needs)},
		{"entry", d.entry(&m.Entry)},
		{"files", d.packaged},
	})
	d.required(v, "", "name", "version", "output")
	if len(d.programs) == 0 {
		m.Entry = m.Name
	}
	d.validate(v, m)
	return m
}

// checkAPI comes first: a manifest of another version may well have keys that we do not know.
func (d *decoder) checkAPI(v value) {
	for _, f := range v.fields {
		if f.key != "api" || f.value.kind == list || f.value.kind == mapping || f.value.kind == null {
			continue
		}
		if err := core.CheckAPI(f.value.text); err != nil && d.err == nil {
			fault, _ := err.(*core.Fault)
			at := faultAt(d.file, f.value.line, f.value.col, "api: "+fault.Err.Error(), fault.Hint)
			at.Kind = fault.Kind
			d.err = at
		}
	}
}

func (d *decoder) required(v value, path string, keys ...string) {
	for _, k := range keys {
		if _, ok := d.places[join(path, k)]; !ok {
			d.fail(v, path, fmt.Sprintf("key %q is missing", k), "")
		}
	}
}

// validate is the last word: what the keys say together. Its errors begin with the key.
func (d *decoder) validate(v value, m core.Declaration) {
	if d.err != nil {
		return
	}
	err := m.Validate()
	if err == nil {
		return
	}
	if f, ok := err.(*core.Fault); ok && f.Err != nil {
		err = f.Err
	}
	what := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "capsule "+m.Name+": ")
	head, _, _ := strings.Cut(what, ":")
	d.fail(d.at(head, v), "", what, "")
}

func (d *decoder) scalarText(v value, path string) string {
	if v.kind == text {
		return v.text
	}
	want := "want text"
	if v.kind == integer || v.kind == float || v.kind == boolean {
		want = fmt.Sprintf("want text; if it is meant so, quote it: %q", v.text)
	}
	d.fail(v, path, v.what()+" is not text", want)
	return ""
}

func (d *decoder) text(to *string) func(value, string) {
	return func(v value, path string) { *to = d.scalarText(v, path) }
}

func (d *decoder) name(to *string) func(value, string) {
	return func(v value, path string) {
		*to = d.scalarText(v, path)
		if !core.ValidName(*to) {
			d.fail(v, path, v.what()+" is no name", "want letters a-z A-Z, digits and _")
		}
	}
}

// version takes numbers too, exactly as they are written: 1.10 stays 1.10.
func (d *decoder) version(to *string) func(value, string) {
	return func(v value, path string) {
		if v.kind != integer && v.kind != float {
			*to = d.scalarText(v, path)
		} else {
			*to = v.text
		}
		if strings.TrimSpace(*to) == "" {
			d.fail(v, path, "it is empty", `want a version such as 1 or "1.2"`)
		}
	}
}

func (d *decoder) bool(to *bool) func(value, string) {
	return func(v value, path string) {
		b, ok := v.data.(bool)
		if !ok {
			d.fail(v, path, v.what()+" is not a bool", "want true or false")
		}
		*to = b
	}
}

func (d *decoder) int(to *int, lo, hi int) func(value, string) {
	return func(v value, path string) {
		i, ok := wholeNumber(v)
		if !ok || i < int64(lo) || i > int64(hi) {
			d.fail(v, path, v.what()+" is not a whole number in range", fmt.Sprintf("want %d..%d", lo, hi))
			return
		}
		*to = int(i)
	}
}

func wholeNumber(v value) (int64, bool) {
	if v.kind != integer {
		return 0, false
	}
	i, err := core.Option{Type: core.IntOption}.Check(v.data)
	if err != nil {
		return 0, false
	}
	return i.(int64), true
}

// texts reads a list of texts.
func (d *decoder) texts(v value, path string) []string {
	if v.kind != list {
		d.fail(v, path, v.what()+" is not a list", "want a list of texts: [a, b]")
		return nil
	}
	if len(v.items) == 0 {
		return nil
	}
	l := make([]string, 0, len(v.items))
	at := make(map[string]int, len(v.items))
	for i, item := range v.items {
		p := path + "[" + strconv.Itoa(i) + "]"
		s := d.scalarText(item, p)
		if strings.TrimSpace(s) == "" {
			d.fail(item, p, "it is empty", "want text")
		}
		if first, twice := at[s]; twice {
			d.fail(item, p, fmt.Sprintf("%q stands there twice", shorten(s)), fmt.Sprintf("also as %s[%d]", path, first))
		}
		at[s] = i
		l = append(l, s)
	}
	return l
}

func (d *decoder) description(v value, path string) core.Description {
	var r core.Description
	list := func(to *[]string) func(value, string) {
		return func(v value, p string) { *to = d.texts(v, p) }
	}
	d.mapping(v, path, []key{
		{"size", func(v value, p string) {
			if v.kind != text || r.Size.UnmarshalText([]byte(v.text)) != nil {
				d.fail(v, p, v.what()+" is no size", "want none, single or all")
			}
		}},
		{"detections", list(&r.Detections)},
		{"attributes", func(v value, p string) { r.Attributes = d.attributes(v, p) }},
		{"encoded", d.bool(&r.Encoded)},
		{"tracked", d.bool(&r.Tracked)},
		{"extra_data", list(&r.ExtraData)},
	})
	d.required(v, path, "size")
	return r
}

// attributes keeps the order of the categories: it decides which check comes first.
func (d *decoder) attributes(v value, path string) []core.Attribute {
	if v.kind != mapping {
		d.fail(v, path, v.what()+" is not a mapping", "want category: [value, value]")
		return nil
	}
	var l []core.Attribute
	for _, f := range v.fields {
		p := join(path, f.key)
		if strings.TrimSpace(f.key) == "" {
			d.fail(value{line: f.line, col: f.col}, path, "a category has no name", "want category: [value, value]")
		}
		a := core.Attribute{Name: f.key, Values: d.texts(f.value, p)}
		if len(a.Values) == 0 {
			d.fail(f.value, p, "it has no values", "want the list of values that the category may have")
		}
		l = append(l, a)
	}
	return l
}

func (d *decoder) formats(to *[]core.PixelFormat) func(value, string) {
	return func(v value, path string) {
		for i, s := range d.texts(v, path) {
			f := core.PixelFormat(s)
			if !f.Known() {
				d.fail(v.items[i], fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%q is no pixel format", shorten(s)), fmt.Sprintf("want one of %v", core.PixelFormats))
			}
			*to = append(*to, f)
		}
	}
}

func (d *decoder) picture(to *core.PictureSize) func(value, string) {
	return func(v value, path string) {
		d.mapping(v, path, []key{
			{"max_side", d.int(&to.MaxSide, 1, 1<<14)},
			{"width", d.int(&to.Width, 1, 1<<14)},
			{"height", d.int(&to.Height, 1, 1<<14)},
			{"filter", d.filter(&to.Filter)},
		})
		if (to.Width > 0) != (to.Height > 0) || (to.MaxSide > 0 && to.Width > 0) {
			d.fail(v, path, "its keys do not go together", "want either max_side, or width and height")
		}
	}
}

func (d *decoder) filter(to *core.Filter) func(value, string) {
	return func(v value, path string) {
		switch f := core.Filter(d.scalarText(v, path)); {
		case f == "":
		case slices.Contains(core.Filters, f):
			*to = f
		default:
			d.fail(v, path, fmt.Sprintf("%q is no filter", shorten(string(f))), fmt.Sprintf("want one of %v, or leave it out", core.Filters))
		}
	}
}

func (d *decoder) gate(to *core.Gate) func(value, string) {
	return func(v value, path string) {
		d.mapping(v, path, []key{{"class", d.text(&to.Class)}, {"hold", d.deadline(&to.Hold)}, {"at_least", d.deadline(&to.AtLeast)}})
		if err := to.Validate(); err != nil {
			d.fail(v, path, err.Error(), "want class, hold and at_least")
		}
		if to.IsZero() {
			d.fail(v, path, "it has neither class nor at_least", "leave gate out for a capsule that runs on every frame")
		}
	}
}

func (d *decoder) metric(to *core.Metric) func(value, string) {
	return func(v value, path string) {
		switch m := core.Metric(d.scalarText(v, path)); m {
		case core.Cosine, core.Euclidean:
			*to = m
		default:
			d.fail(v, path, v.what()+" is no metric", "want cosine or euclidean")
		}
	}
}

// badEntry says why s may not name the program; empty when it may.
func badEntry(s string) string {
	switch {
	case s == "" || strings.HasSuffix(s, "/") || path.Clean(s) == ".":
		return "names no file"
	case strings.ContainsAny(s, "\\\x00\n\r") || (len(s) > 1 && s[1] == ':'):
		return "is not a plain path"
	case path.IsAbs(s):
		return "is not relative"
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return "may leave the folder"
		}
	}
	return ""
}
