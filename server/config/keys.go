package config

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Key is one thing that can be set.
type Key struct {
	Name    string    // in the file: "limits.body"
	Flag    string    // "limits-body"
	Env     string    // "CAPSTAN_LIMITS_BODY"
	Default string    // as text; empty: the zero value
	Usage   string    // what it means
	Arg     string    // what the flag takes
	OneOf   []string  // what is allowed; empty: anything of the type
	Within  [2]string // the least and the most that a number may be; empty: any
	Bare    string    // what the flag without a value means; empty: it has to have one
	Sep     string    // between the values of a list in a variable
	index   []int
	kind    reflect.Type
}

// Keys lists all keys, in the order of the struct.
func Keys() []Key { return keysOf(reflect.TypeFor[Config](), "", nil) }

func keysOf(t reflect.Type, prefix string, index []int) []Key {
	var out []Key
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("key")
		at := append(append([]int{}, index...), i)
		if f.Type.Kind() == reflect.Struct {
			out = append(out, keysOf(f.Type, name+".", at)...)
			continue
		}
		out = append(out, keyOf(f, name, at))
	}
	return out
}

func keyOf(f reflect.StructField, name string, index []int) Key {
	or := func(tag, otherwise string) string {
		if v := f.Tag.Get(tag); v != "" {
			return v
		}
		return otherwise
	}
	k := Key{
		Name: name, Default: f.Tag.Get("default"), Usage: f.Tag.Get("usage"), Arg: or("arg", "VALUE"),
		Flag: or("flag", strings.NewReplacer(".", "-", "_", "-").Replace(name)),
		Env:  or("env", "CAPSTAN_"+strings.ToUpper(strings.ReplaceAll(name, ".", "_"))),
		Sep:  or("sep", ","), Bare: f.Tag.Get("bare"), index: index, kind: f.Type,
	}
	if s := f.Tag.Get("oneof"); s != "" {
		k.OneOf = strings.Fields(s)
	}
	if s := f.Tag.Get("within"); s != "" {
		k.Within[0], k.Within[1], _ = strings.Cut(s, " ")
	}
	if f.Type.Kind() == reflect.Bool || f.Type == reflect.TypeFor[Openness]() {
		k.Bare = "true"
	}
	return k
}

// find gives the key of a name.
func find(keys []Key, name string) (Key, bool) {
	for _, k := range keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

func (k Key) in(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(k.index) }

// list says whether the key takes several values.
func (k Key) list() bool { return k.kind.Kind() == reflect.Slice }

// structs says whether its values are mappings.
func (k Key) structs() bool { return k.list() && k.kind.Elem().Kind() == reflect.Struct }

// set reads one value from text, as it stands in a variable or behind a flag.
func (k Key) set(c *Config, text string) error {
	v := k.in(c)
	switch {
	case k.structs():
		return k.setYAML(v, text)
	case k.list():
		v.Set(reflect.MakeSlice(k.kind, 0, 0))
		for _, part := range strings.Split(text, k.Sep) {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			v.Set(reflect.Append(v, reflect.ValueOf(part)))
		}
		return nil
	}
	return k.scalar(v, text)
}

func (k Key) scalar(v reflect.Value, text string) error {
	if err := scalar(v, text); err != nil {
		return err
	}
	return k.allowed(v, text)
}

// allowed complains of a value that is of the type and not one that may be.
func (k Key) allowed(v reflect.Value, text string) error {
	if k.Within[1] != "" {
		return k.within(v, text)
	}
	if len(k.OneOf) == 0 {
		return nil
	}
	for _, o := range k.OneOf {
		if o == text {
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(k.OneOf, ", "))
}

func (k Key) within(v reflect.Value, text string) error {
	for i, bound := range k.Within {
		limit := reflect.New(k.kind).Elem()
		if err := scalar(limit, bound); err != nil {
			return err // of the struct's tag; a test reads them all
		}
		if sign := compare(v, limit); i == 0 && sign < 0 || i == 1 && sign > 0 {
			return fmt.Errorf("%s is not within %s..%s", text, k.Within[0], k.Within[1])
		}
	}
	return nil
}

func compare(a, b reflect.Value) int {
	if a.CanFloat() {
		return cmp.Compare(a.Float(), b.Float())
	}
	return cmp.Compare(a.Int(), b.Int())
}

// scalar reads a value of one of the types of Config.
func scalar(v reflect.Value, text string) (err error) {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		if *p, err = time.ParseDuration(text); err != nil || *p < 0 {
			err = fmt.Errorf("%q is not a time like 10s, 5m or 24h", text)
		}
	case *Bytes:
		*p, err = ParseBytes(text)
	case *Openness:
		*p, err = ParseOpenness(text)
	case *bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		*p = text == "true"
	case *int:
		if *p, err = strconv.Atoi(text); err != nil {
			err = fmt.Errorf("%q is not a whole number", text)
		}
	case *float64:
		*p, err = strconv.ParseFloat(text, 64)
		if err != nil || *p != *p || *p > 1e18 || *p < -1e18 {
			*p, err = 0, fmt.Errorf("%q is not a number like 5 or 0.25", text)
		}
	default:
		v.SetString(text)
	}
	return err
}

// text gives the value as it would stand in a variable, with secrets masked if so wished.
func (k Key) text(c *Config, masked bool) string {
	v := k.in(c)
	if k.structs() {
		return yamlText(v, masked)
	}
	if !k.list() {
		return scalarText(v, masked)
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = scalarText(v.Index(i), masked)
	}
	return strings.Join(parts, k.Sep)
}

func scalarText(v reflect.Value, masked bool) string {
	if !masked && v.Kind() == reflect.String {
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}
