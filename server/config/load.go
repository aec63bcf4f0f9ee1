package config

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/capstan-video/capstan/core"
)

// Origin says where a value came from: a file with a place, "--flag", "$VARIABLE", or "default".
type Origin struct {
	Source    string
	Line, Col int
}

// FileEnv names the file when no flag does.
const FileEnv = "CAPSTAN_CONFIG"

// otherEnv are variables of Capstan that are no keys.
var otherEnv = []string{FileEnv, "CAPSTAN_MODELS", "CAPSTAN_CACHE", "CAPSTAN_TRUST", "CAPSTAN_PYTHON", "CAPSTAN_ONNXRUNTIME", "CAPSTAN_CAPSULE_KEY", "CAPSTAN_CAPSULE_KEY_FILE", "CAPSTAN_TESTDATA", "CAPSTAN_KEEP"}

// Sources are where values come from, the strongest last: defaults, file, environment, flags.
type Sources struct {
	File  string         // empty: $CAPSTAN_CONFIG, else none
	Env   []string       // as os.Environ gives it
	Flags *pflag.FlagSet // of AddFlags, parsed; nil: none
}

// Loaded is a configuration with where its values came from.
type Loaded struct {
	Config
	File     string            // that was read; empty: none
	Origins  map[string]Origin // by key
	Warnings []string          // variables that look like keys and are none
}

// Default gives the configuration in which nothing is set.
func Default() Config {
	var c Config
	for _, k := range Keys() {
		if k.Default == "" {
			continue
		}
		if err := k.set(&c, k.Default); err != nil {
			panic("config: default of " + k.Name + ": " + err.Error())
		}
	}
	return c
}

// Load gathers the configuration and checks it. The error is Problems, with everything that is
// wrong; the configuration is then not to be used.
func Load(s Sources) (*Loaded, error) {
	l := &Loaded{Config: Default(), Origins: map[string]Origin{}, File: s.File}
	env := environment(s.Env)
	if l.File == "" {
		l.File = env[FileEnv]
	}
	for _, k := range Keys() {
		l.Origins[k.Name] = Origin{Source: "default"}
	}
	var problems Problems
	if l.File != "" {
		problems = append(problems, l.readFile()...)
	}
	problems = append(problems, l.readEnv(env)...)
	problems = append(problems, l.readFlags(s.Flags)...)
	problems = append(problems, l.check()...)
	if len(problems) > 0 {
		return l, problems.sorted()
	}
	return l, nil
}

func (l *Loaded) readFile() Problems {
	f, err := os.Open(l.File)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err == nil {
			return readFile(l.File, data, &l.Config, l.Origins)
		}
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return Problems{{Source: l.File, Text: "it cannot be read: " + err.Error()}}
}

func environment(list []string) map[string]string {
	out := map[string]string{}
	for _, e := range list {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, "CAPSTAN_") {
			out[name] = value
		}
	}
	return out
}

// readEnv reads the variables; an empty one is as if it were not there.
func (l *Loaded) readEnv(env map[string]string) Problems {
	var problems Problems
	keys := Keys()
	known := append([]string{}, otherEnv...)
	for _, k := range keys {
		known = append(known, k.Env)
		text := env[k.Env]
		delete(env, k.Env)
		if text == "" {
			continue
		}
		problems = append(problems, l.put(k, "$"+k.Env, text)...)
	}
	for _, name := range otherEnv {
		delete(env, name)
	}
	for name := range env {
		if near := core.Nearest(name, known); len(near) > 0 {
			l.Warnings = append(l.Warnings, "$"+name+" means nothing; did you mean $"+near[0]+"?")
		}
	}
	return problems
}

func (l *Loaded) put(k Key, source, text string) Problems {
	fresh := l.Config
	if err := k.set(&fresh, text); err != nil {
		if k.kind == secretType {
			err = errors.New("this value cannot be") // it is not shown
		}
		return Problems{{Source: source, Key: k.Name, Text: strings.ReplaceAll(err.Error(), "\n", "; ")}}
	}
	l.Config = fresh
	l.Origins[k.Name] = Origin{Source: source}
	return nil
}

func (l *Loaded) readFlags(flags *pflag.FlagSet) Problems {
	if flags == nil {
		return nil
	}
	var problems Problems
	for _, k := range Keys() {
		f := flags.Lookup(k.Flag)
		if f == nil || !f.Changed {
			continue
		}
		v, ok := f.Value.(*flagValue)
		if !ok {
			continue
		}
		problems = append(problems, l.put(k, "--"+k.Flag, v.joined())...)
	}
	return problems
}
