package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OptionType says what kind of value an option takes.
type OptionType string

// The option types, as they are spelled in manifests and APIs.
const (
	FloatOption    OptionType = "float"
	IntOption      OptionType = "int"
	EnumOption     OptionType = "enum"
	BoolOption     OptionType = "bool"
	StringOption   OptionType = "str"
	SecretOption   OptionType = "secret"   // a string that is never given back
	ListOption     OptionType = "list"     // a list of strings
	DurationOption OptionType = "duration" // "250ms", "5s"; seconds when given as a number
)

// OptionTypes lists every type.
var OptionTypes = []OptionType{FloatOption, IntOption, EnumOption, BoolOption, StringOption, SecretOption, ListOption, DurationOption}

// Option declares one setting of a capsule. Default has the Go type of its Type: float64,
// int64, string, bool, []string, time.Duration.
type Option struct {
	Name        string
	Type        OptionType
	Default     any
	Min, Max    *float64 // inclusive; numbers, and seconds for durations; nil: no limit
	Choices     []string // enum only
	Description string
}

// Values are the settings of a capsule by option name. Complete ones have every option; they
// are read-only once handed out.
type Values map[string]any

// Float gives a float option; 0 when there is none of that name and type.
func (v Values) Float(name string) float64 { f, _ := v[name].(float64); return f }

// Int gives an int option.
func (v Values) Int(name string) int { i, _ := v[name].(int64); return int(i) }

// Bool gives a bool option.
func (v Values) Bool(name string) bool { b, _ := v[name].(bool); return b }

// Text gives an enum, str or secret option.
func (v Values) Text(name string) string { s, _ := v[name].(string); return s }

// List gives a list option; the caller must not change it.
func (v Values) List(name string) []string { l, _ := v[name].([]string); return l }

// Duration gives a duration option.
func (v Values) Duration(name string) time.Duration { d, _ := v[name].(time.Duration); return d }

// Check gives value in the Go type of the option, or says why it is refused. JSON numbers are
// understood: an integral one is fine for a float and an int, a fraction is not for an int;
// booleans are never numbers; NaN and infinity are refused.
func (o Option) Check(value any) (any, error) {
	v, err := o.convert(value)
	if err == nil {
		err = o.withinLimits(v)
	}
	if err != nil {
		return nil, Faultf(Invalid, "option", o.Name, "%w", err)
	}
	return v, nil
}

func (o Option) convert(value any) (any, error) {
	switch o.Type {
	case FloatOption:
		return toFloat(value)
	case IntOption:
		return toInt(value)
	case BoolOption:
		if b, ok := value.(bool); ok {
			return b, nil
		}
		return nil, mismatch(value, "true or false")
	case ListOption:
		return toList(value)
	case DurationOption:
		return toDuration(value)
	case EnumOption, StringOption, SecretOption:
		if s, ok := value.(string); ok {
			return s, nil
		}
		if o.Type == SecretOption {
			return nil, errors.New("a secret is a string") // its value is shown nowhere
		}
		return nil, mismatch(value, "a string")
	default:
		return nil, fmt.Errorf("type %q is not one of %v", o.Type, OptionTypes)
	}
}

func (o Option) withinLimits(v any) error {
	var x float64
	switch v := v.(type) {
	case string:
		if o.Type == EnumOption && !slices.Contains(o.Choices, v) {
			return fmt.Errorf("%q is not one of [%s]", v, strings.Join(o.Choices, ", "))
		}
		return nil
	case float64:
		x = v
	case int64:
		x = float64(v)
	case time.Duration:
		x = v.Seconds()
	default:
		return nil
	}
	if (o.Min != nil && x < *o.Min) || (o.Max != nil && x > *o.Max) {
		return fmt.Errorf("%v is not within %s", v, o.Limits())
	}
	return nil
}

// Limits reads like "0..1", "1.." or "" for an option without limits.
func (o Option) Limits() string {
	if o.Min == nil && o.Max == nil {
		return ""
	}
	s := ".."
	if o.Min != nil {
		s = strconv.FormatFloat(*o.Min, 'g', -1, 64) + s
	}
	if o.Max != nil {
		s += strconv.FormatFloat(*o.Max, 'g', -1, 64)
	}
	return s
}

func mismatch(value any, want string) error {
	switch v := value.(type) {
	case nil:
		return fmt.Errorf("nothing is not %s", want)
	case string:
		return fmt.Errorf("%.80q is not %s", v, want)
	case bool, int, int64, uint64, float32, float64, json.Number, time.Duration:
		return fmt.Errorf("%v is not %s", v, want)
	default:
		return fmt.Errorf("a %T is not %s", value, want)
	}
}

func toFloat(value any) (any, error) {
	var f float64
	switch v := value.(type) {
	case float64:
		f = v
	case float32:
		f = float64(v)
	case int:
		f = float64(v)
	case int64:
		f = float64(v)
	case uint64:
		f = float64(v)
	case json.Number:
		x, err := v.Float64()
		if err != nil {
			return nil, mismatch(value, "a number")
		}
		f = x
	default:
		return nil, mismatch(value, "a number")
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v is not a finite number", f)
	}
	return f, nil
}

func toInt(value any) (any, error) {
	switch v := value.(type) {
	case int64:
		return v, nil
	case int:
		return int64(v), nil
	case uint64:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("%d does not fit into 64 bits", v)
		}
		return int64(v), nil
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
	}
	f, err := toFloat(value)
	if err != nil {
		return nil, mismatch(value, "a whole number")
	}
	x := f.(float64)
	if x != math.Trunc(x) || math.Abs(x) >= 1<<63 {
		return nil, fmt.Errorf("%v is not a whole number of 64 bits", x)
	}
	return int64(x), nil
}

func toList(value any) (any, error) {
	switch v := value.(type) {
	case []string:
		return slices.Clone(v), nil
	case []any:
		l := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, mismatch(e, "a string of the list")
			}
			l = append(l, s)
		}
		return l, nil
	default:
		return nil, mismatch(value, "a list of strings")
	}
}

func toDuration(value any) (any, error) {
	switch v := value.(type) {
	case time.Duration:
		return v, nil
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return nil, fmt.Errorf("%q is not a duration such as 250ms or 5s", v)
		}
		return d, nil
	}
	f, err := toFloat(value)
	if err != nil {
		return nil, mismatch(value, "a duration such as 250ms or 5s")
	}
	ns := f.(float64) * float64(time.Second)
	if math.Abs(ns) >= 1<<63 {
		return nil, fmt.Errorf("%v s is too long", f)
	}
	return time.Duration(ns), nil
}

// Parse reads the value of a command line: text of any type, lists separated by commas.
func (o Option) Parse(text string) (any, error) {
	var value any = text
	switch o.Type {
	case BoolOption:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, Faultf(Invalid, "option", o.Name, "%q is not true or false", text)
		}
		value = b
	case FloatOption, IntOption:
		value = json.Number(text)
	case DurationOption:
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			value = json.Number(text)
		}
	case ListOption:
		l := []string{}
		for s := range strings.SplitSeq(text, ",") {
			if s = strings.TrimSpace(s); s != "" {
				l = append(l, s)
			}
		}
		value = l
	}
	return o.Check(value)
}

// Validate refuses a name, type, limits, choices or default that cannot be.
func (o Option) Validate() error {
	if !ValidName(o.Name) {
		return Faultf(Invalid, "option", o.Name, "name %q has characters other than letters, digits and _", o.Name)
	}
	if !slices.Contains(OptionTypes, o.Type) {
		return Faultf(Invalid, "option", o.Name, "type %q is not one of %v", o.Type, OptionTypes)
	}
	for _, limit := range []*float64{o.Min, o.Max} {
		if limit != nil && (math.IsNaN(*limit) || math.IsInf(*limit, 0)) {
			return Faultf(Invalid, "option", o.Name, "limit %v is not a finite number", *limit)
		}
	}
	if o.Min != nil && o.Max != nil && *o.Min > *o.Max {
		return Faultf(Invalid, "option", o.Name, "min %v is above max %v", *o.Min, *o.Max)
	}
	if o.Type == EnumOption {
		if len(o.Choices) == 0 {
			return Faultf(Invalid, "option", o.Name, "an enum needs choices")
		}
		if err := wellFormed("choices", o.Choices); err != nil {
			return Faultf(Invalid, "option", o.Name, "%w", err)
		}
	} else if len(o.Choices) > 0 {
		return Faultf(Invalid, "option", o.Name, "choices are for an enum, not for a %s", o.Type)
	}
	if o.Default == nil {
		return Faultf(Invalid, "option", o.Name, "it has no default")
	}
	if _, err := o.Check(o.Default); err != nil {
		return fmt.Errorf("default: %w", err)
	}
	return nil
}

// ValidName says whether s may name a capsule or an option: ASCII letters, digits and _.
func ValidName(s string) bool {
	for _, r := range s {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return s != ""
}
