package manifest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
)

// options reads name: {type, default, …}, or a list of such mappings with a key name each.
func (d *decoder) options(to *[]core.Option) func(value, string) {
	return func(v value, path string) {
		switch v.kind {
		case mapping:
			for _, f := range v.fields {
				at := value{line: f.line, col: f.col}
				*to = append(*to, d.option(f.value, at, join(path, f.key), f.key))
			}
		case list:
			for i, item := range v.items {
				*to = append(*to, d.listed(item, fmt.Sprintf("%s[%d]", path, i)))
			}
		default:
			d.fail(v, path, v.what()+" is not a mapping", "want name: {type: float, default: 0.5}")
		}
	}
}

// listed reads an option that carries its name inside.
func (d *decoder) listed(v value, path string) core.Option {
	rest := v
	rest.fields = nil
	name, at := "", v
	for _, f := range v.fields {
		if f.key != "name" {
			rest.fields = append(rest.fields, f)
			continue
		}
		name, at = d.scalarText(f.value, join(path, "name")), f.value
	}
	if v.kind == mapping && name == "" {
		d.fail(v, path, `key "name" is missing`, "")
	}
	return d.option(rest, at, path, name)
}

func (d *decoder) option(v, at value, path, name string) core.Option {
	o := core.Option{Name: name}
	if !core.ValidName(name) {
		d.fail(at, path, fmt.Sprintf("%q is no name of an option", shorten(name)), "want letters a-z A-Z, digits and _")
	}
	var def, lo, hi *value
	keep := func(to **value) func(value, string) {
		return func(v value, _ string) { *to = &v }
	}
	d.mapping(v, path, []key{
		{"type", d.optionType(&o.Type)},
		{"default", keep(&def)},
		{"min", keep(&lo)},
		{"max", keep(&hi)},
		{"choices", func(v value, p string) { o.Choices = d.texts(v, p) }},
		{"description", d.text(&o.Description)},
	})
	if o.Type == "" {
		d.fail(v, path, `key "type" is missing`, fmt.Sprintf("want one of %v", core.OptionTypes))
	}
	o.Min, o.Max = d.limit(lo, path+".min", o.Type), d.limit(hi, path+".max", o.Type)
	d.checkTogether(v, path, o)
	o.Default = d.optionDefault(v, def, path, o)
	return o
}

func (d *decoder) optionType(to *core.OptionType) func(value, string) {
	return func(v value, path string) {
		for _, t := range core.OptionTypes {
			if v.kind == text && string(t) == v.text {
				*to = t
				return
			}
		}
		d.fail(v, path, v.what()+" is no type of an option", fmt.Sprintf("want one of %v", core.OptionTypes))
	}
}

// limit reads min or max: a number; for a duration option a duration, kept in seconds.
func (d *decoder) limit(v *value, path string, t core.OptionType) *float64 {
	if v == nil || d.err != nil {
		return nil
	}
	want := "want a number"
	switch t {
	case core.DurationOption:
		want = "want a duration such as 250ms, or seconds"
		if x, err := (core.Option{Type: t}).Check(v.data); err == nil && v.kind == text {
			s := x.(time.Duration).Seconds()
			return &s
		}
	case core.FloatOption, core.IntOption:
	default:
		d.fail(*v, path, fmt.Sprintf("a %s has no limits", t), "limits are for int, float and duration")
		return nil
	}
	x, err := core.Option{Type: core.FloatOption}.Check(v.plain())
	if err != nil {
		d.fail(*v, path, cause(err), want)
		return nil
	}
	f := x.(float64)
	return &f
}

func (d *decoder) checkTogether(v value, path string, o core.Option) {
	if o.Min != nil && o.Max != nil && *o.Min > *o.Max {
		d.fail(d.at(path+".min", v), path, fmt.Sprintf("min %v is above max %v", *o.Min, *o.Max), "")
	}
	if o.Type == core.EnumOption && len(o.Choices) == 0 {
		d.fail(d.at(path+".choices", v), path, "an enum needs choices", "want choices: [a, b]")
	}
	if o.Type != core.EnumOption && len(o.Choices) > 0 {
		d.fail(d.at(path+".choices", v), path, fmt.Sprintf("a %s has no choices", o.Type), "choices are for an enum")
	}
}

func (d *decoder) deadline(to *time.Duration) func(value, string) {
	zero := 0.0
	return func(v value, path string) {
		x, err := core.Option{Type: core.DurationOption, Min: &zero}.Check(v.plain())
		if err != nil {
			d.fail(v, path, cause(err), "want a duration such as 250ms or 5s")
			return
		}
		*to = x.(time.Duration)
	}
}

func (d *decoder) at(path string, otherwise value) value {
	if v, ok := d.places[path]; ok {
		return v
	}
	return otherwise
}

func (d *decoder) optionDefault(v value, def *value, path string, o core.Option) any {
	if d.err != nil {
		return nil
	}
	if def == nil && o.Type == core.SecretOption {
		return "" // a secret has none to show
	}
	if def == nil {
		d.fail(v, path, `key "default" is missing`, "want "+wanted(o))
		return nil
	}
	x, err := o.Check(def.plain())
	if err != nil {
		d.fail(*def, path+".default", cause(err), "want "+wanted(o))
	}
	return x
}

// cause gives the innermost reason of an option's refusal, without the words around it.
func cause(err error) string {
	var f *core.Fault
	if errors.As(err, &f) && f.Err != nil {
		return f.Err.Error()
	}
	return fmt.Sprint(err)
}

// wanted says which values an option takes.
func wanted(o core.Option) string {
	s := map[core.OptionType]string{
		core.FloatOption: "a float", core.IntOption: "an int", core.BoolOption: "true or false", core.StringOption: "text",
		core.SecretOption: "text", core.ListOption: "a list of texts", core.DurationOption: "a duration such as 250ms or 5s",
		core.EnumOption: "one of [" + strings.Join(o.Choices, ", ") + "]",
	}[o.Type]
	if l := o.Limits(); l != "" {
		s += " within " + l
		if o.Type == core.DurationOption {
			s += " seconds"
		}
	}
	return s
}

// plain gives v as options check it; lists of scalars only, all else is nil.
func (v value) plain() any {
	if v.kind != list {
		return v.data
	}
	l := make([]any, 0, len(v.items))
	for _, item := range v.items {
		l = append(l, item.data)
	}
	return l
}
