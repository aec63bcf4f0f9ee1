package config

import (
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

var secretType = reflect.TypeFor[Secret]()

// flagValue holds what was given for a key. It is read by Load.
type flagValue struct {
	key   Key
	given []string
}

var _ pflag.Value = (*flagValue)(nil)

// Set implements pflag.Value. The value is checked at once, so that pflag names the flag.
func (f *flagValue) Set(text string) error {
	var c Config
	if err := f.key.set(&c, text); err != nil {
		return err
	}
	f.given = append(f.given, text)
	return nil
}

// String implements pflag.Value: the default, for the help.
func (f *flagValue) String() string {
	if f.key.kind == nil {
		return ""
	}
	return f.key.Default
}

// Type implements pflag.Value: what the help calls the value.
func (f *flagValue) Type() string {
	if f.key.Bare != "" && len(f.key.OneOf) == 0 {
		return "bool"
	}
	return f.key.Arg
}

// joined gives all that was given as one text. A list grows with every flag, of others the last one
// counts; no_auth that is given twice means everywhere.
func (f *flagValue) joined() string {
	last := f.given[len(f.given)-1]
	switch {
	case f.key.kind == reflect.TypeFor[Openness]():
		if len(f.given) > 1 && f.given[0] == "true" && last == "true" {
			return Everywhere.String()
		}
	case f.key.structs():
		return "[" + strings.Join(trimmed(f.given), ", ") + "]"
	case f.key.list():
		return strings.Join(f.given, f.key.Sep)
	}
	return last
}

// trimmed takes the brackets off lists, so that several can be put into one.
func trimmed(lists []string) []string {
	var out []string
	for _, s := range lists {
		s = strings.TrimSpace(s)
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			s = s[1 : len(s)-1]
		}
		out = append(out, s)
	}
	return out
}

// AddFlags adds a flag for every key, and --config.
func AddFlags(flags *pflag.FlagSet) (file *string) {
	file = flags.String("config", "", "read the configuration from `FILE` (default: $"+FileEnv+")")
	for _, k := range Keys() {
		usage := k.Usage
		if len(k.OneOf) > 0 {
			usage += ": " + strings.Join(k.OneOf, ", ")
		}
		if k.Within[1] != "" {
			usage += "; " + k.Within[0] + " to " + k.Within[1]
		}
		f := flags.VarPF(&flagValue{key: k}, k.Flag, "", usage)
		f.NoOptDefVal = k.Bare
	}
	return file
}
