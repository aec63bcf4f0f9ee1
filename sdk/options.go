package sdk

import (
	"time"

	"github.com/capstan-video/capstan/core"
)

// Limit narrows an option.
type Limit func(*Option)

// Between sets both inclusive limits of a number, or of a duration in seconds.
func Between(lo, hi float64) Limit { return func(o *Option) { o.Min, o.Max = &lo, &hi } }

// AtLeast sets the lower limit alone.
func AtLeast(lo float64) Limit { return func(o *Option) { o.Min = &lo } }

// AtMost sets the upper limit alone.
func AtMost(hi float64) Limit { return func(o *Option) { o.Max = &hi } }

func option(name string, t core.OptionType, def any, description string, limits []Limit) Option {
	o := Option{Name: name, Type: t, Default: def, Description: description}
	for _, l := range limits {
		l(&o)
	}
	return o
}

// Float declares a float option; read it by Options.Float.
func Float(name string, def float64, description string, limits ...Limit) Option {
	return option(name, core.FloatOption, def, description, limits)
}

// Int declares a whole-number option; read it by Options.Int.
func Int(name string, def int, description string, limits ...Limit) Option {
	return option(name, core.IntOption, int64(def), description, limits)
}

// Bool declares a switch; read it by Options.Bool.
func Bool(name string, def bool, description string) Option {
	return option(name, core.BoolOption, def, description, nil)
}

// Enum declares a choice; read it by Options.Text.
func Enum(name, def string, choices []string, description string) Option {
	o := option(name, core.EnumOption, def, description, nil)
	o.Choices = choices
	return o
}

// Text declares a free text; read it by Options.Text.
func Text(name, def, description string) Option {
	return option(name, core.StringOption, def, description, nil)
}

// Secret declares a text that is never shown or given back; read it by Options.Text.
func Secret(name, description string) Option {
	return option(name, core.SecretOption, "", description, nil)
}

// List declares a list of texts; read it by Options.List.
func List(name string, def []string, description string) Option {
	return option(name, core.ListOption, def, description, nil)
}

// Duration declares a time span, limits in seconds; read it by Options.Duration.
func Duration(name string, def time.Duration, description string, limits ...Limit) Option {
	return option(name, core.DurationOption, def, description, limits)
}
