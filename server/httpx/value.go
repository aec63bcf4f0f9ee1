package httpx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Value is a JSON value of a request, with the place that it stands at, so that what is wrong can
// be named. Its methods say what is expected; what is something else is a *FormatError.
type Value struct {
	at  string
	raw json.RawMessage // valid JSON; nil: it is not there
}

// Missing says whether the value is null or not there.
func (v Value) Missing() bool { return v.raw == nil || string(v.raw) == "null" }

// Wrong gives the error that names the value.
func (v Value) Wrong(format string, args ...any) error {
	return &FormatError{v.at, fmt.Sprintf(format, args...)}
}

func (v Value) mismatch(want string) error {
	if v.raw == nil {
		return v.Wrong("is missing; it must be %s", want)
	}
	shown := string(v.raw)
	if len(shown) > 40 {
		shown = shown[:37] + "..."
	}
	return v.Wrong("%q is not %s", shown, want)
}

// Text reads a string.
func (v Value) Text() (string, error) {
	if len(v.raw) == 0 || v.raw[0] != '"' {
		return "", v.mismatch("a string")
	}
	var s string
	if err := json.Unmarshal(v.raw, &s); err != nil {
		return "", v.mismatch("a string")
	}
	return s, nil
}

// Bool reads true or false.
func (v Value) Bool() (bool, error) {
	switch string(v.raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, v.mismatch("true or false")
}

// Float reads a number.
func (v Value) Float() (float64, error) {
	if len(v.raw) == 0 || (v.raw[0] != '-' && (v.raw[0] < '0' || v.raw[0] > '9')) {
		return 0, v.mismatch("a number")
	}
	f, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, v.mismatch("a number of 64 bits")
	}
	return f, nil
}

// Int reads a whole number; 3.0 is one.
func (v Value) Int() (int64, error) {
	if n, err := strconv.ParseInt(string(v.raw), 10, 64); err == nil {
		return n, nil
	}
	f, err := v.Float()
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, v.mismatch("a whole number")
	}
	return int64(f), nil
}

// List reads a list.
func (v Value) List() ([]Value, error) {
	if len(v.raw) == 0 || v.raw[0] != '[' {
		return nil, v.mismatch("a list")
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(v.raw, &raw); err != nil {
		return nil, v.mismatch("a list")
	}
	list := make([]Value, len(raw))
	for i, r := range raw {
		list[i] = Value{fmt.Sprintf("%s[%d]", v.at, i), r}
	}
	return list, nil
}

// Object reads an object.
func (v Value) Object() (Object, error) {
	if len(v.raw) == 0 || v.raw[0] != '{' {
		return Object{}, v.mismatch("an object")
	}
	o := Object{at: v.at}
	if err := json.Unmarshal(v.raw, &o.raw); err != nil {
		return Object{}, v.mismatch("an object")
	}
	return o, nil
}

// Any reads a value of any type: whole numbers of 64 bits as int64, others as float64 where that is
// written the same and else as json.Number (1.0, 1e3, or more digits than it holds), lists as []any,
// objects as map[string]any, null as nil.
func (v Value) Any() (any, error) {
	if v.raw == nil {
		return nil, v.mismatch("a value")
	}
	d := json.NewDecoder(bytes.NewReader(v.raw))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return nil, v.mismatch("a value")
	}
	x, err := exact(x)
	if err != nil {
		return nil, v.Wrong("%v", err)
	}
	return x, nil
}

// exact replaces json.Number by int64 and float64 where those are written the same, in place.
func exact(x any) (any, error) {
	var err error
	switch x := x.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n, nil
		}
		f, err := x.Float64()
		if err != nil {
			return nil, fmt.Errorf("%.40s is not a number of 64 bits", x)
		}
		if text, err := json.Marshal(f); err != nil || string(text) != x.String() {
			return x, nil
		}
		return f, nil
	case []any:
		for i := range x {
			if x[i], err = exact(x[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range x {
			if x[k], err = exact(x[k]); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}

// Object is a JSON object of a request. Names are matched exactly.
type Object struct {
	at  string
	raw map[string]json.RawMessage
}

// Get gives a member, or a Value that is Missing.
func (o Object) Get(name string) Value {
	at := name
	if o.at != "" {
		at = o.at + "." + name
	}
	return Value{at, o.raw[name]}
}

// Names gives the names of the members, in no order.
func (o Object) Names() []string {
	names := make([]string, 0, len(o.raw))
	for n := range o.raw {
		names = append(names, n)
	}
	return names
}

// Map reads the object, its members as Any does. It is never nil.
func (o Object) Map() (map[string]any, error) {
	m := make(map[string]any, len(o.raw))
	for name := range o.raw {
		v, err := o.Get(name).Any()
		if err != nil {
			return nil, err
		}
		m[name] = v
	}
	return m, nil
}
