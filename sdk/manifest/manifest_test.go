package manifest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

const whole = `# a comment
name: classifier_face_mood
version: 3
api: "1.0"
description: "Says: happy, or not."
input: {size: single, detections: [face, "safety hat"]}
output:
  size: single
  detections:
  - face
  - safety hat
  attributes: {mood: [happy, sad], "age group": ["0-9", "10+"], aa: [x]}
  encoded: true
  tracked: false
  extra_data: [mood_confidence]
options:
  threshold: {type: float, default: 1, min: 0, max: 1, description: least confidence}
  recognition_threshold:
    type: float
    default: 0.8
    min: 0
  classes: {type: list, default: [face, hat]}
  rest: {type: duration, default: 250ms, min: 0, max: 1m30s}
  mode: {type: enum, default: fast, choices: [fast, good]}
  n: {type: int, default: -3}
  on_top: {type: bool, default: true}
  note: {type: str, default: ""}
  key: {type: secret}
formats: [GRAY8, RGB]
picture: {width: 320, height: 240, filter: linear}
stateful: true
on_demand: true
every_n: 2
gate: {class: motion, hold: 2s, at_least: 10}
deadline: 1.5
metric: cosine
entry: bin/mood
`

func ptr(f float64) *float64 { return &f }

func wholeDeclaration() core.Declaration {
	return core.Declaration{
		Name: "classifier_face_mood", Version: "3", API: "1.0", Description: "Says: happy, or not.",
		Input: core.Description{Size: core.SizeSingle, Detections: []string{"face", "safety hat"}},
		Output: core.Description{
			Size: core.SizeSingle, Detections: []string{"face", "safety hat"},
			Attributes: []core.Attribute{
				{Name: "mood", Values: []string{"happy", "sad"}}, {Name: "age group", Values: []string{"0-9", "10+"}}, {Name: "aa", Values: []string{"x"}},
			},
			Encoded: true, ExtraData: []string{"mood_confidence"},
		},
		Options: []core.Option{
			{Name: "threshold", Type: core.FloatOption, Default: 1.0, Min: ptr(0), Max: ptr(1), Description: "least confidence"},
			{Name: "recognition_threshold", Type: core.FloatOption, Default: 0.8, Min: ptr(0)},
			{Name: "classes", Type: core.ListOption, Default: []string{"face", "hat"}},
			{Name: "rest", Type: core.DurationOption, Default: 250 * time.Millisecond, Min: ptr(0), Max: ptr(90)},
			{Name: "mode", Type: core.EnumOption, Default: "fast", Choices: []string{"fast", "good"}},
			{Name: "n", Type: core.IntOption, Default: int64(-3)},
			{Name: "on_top", Type: core.BoolOption, Default: true},
			{Name: "note", Type: core.StringOption, Default: ""},
			{Name: "key", Type: core.SecretOption, Default: ""},
		},
		Formats: []core.PixelFormat{core.GRAY8, core.RGB}, Picture: core.PictureSize{Width: 320, Height: 240, Filter: core.Linear},
		Stateful: true, OnDemand: true, EveryN: 2, Gate: core.Gate{Class: "motion", Hold: 2 * time.Second, AtLeast: 10 * time.Second}, Deadline: 1500 * time.Millisecond, Metric: core.Cosine, Entry: "bin/mood",
	}
}

func TestDecodeEveryKey(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"as it is":        whole,
		"CRLF":            strings.ReplaceAll(whole, "\n", "\r\n"),
		"CR":              strings.ReplaceAll(whole, "\n", "\r"),
		"byte order mark": "\xef\xbb\xbf" + whole,
		"document marks":  "---\n" + whole + "...\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode("capsule.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if want := wholeDeclaration(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

const short = "name: a\nversion: 1\noutput: {size: all, detections: [x]}\n"

func TestDecodeDefaults(t *testing.T) {
	t.Parallel()
	got, err := Decode("capsule.yaml", []byte(short))
	if err != nil {
		t.Fatal(err)
	}
	want := core.Declaration{
		Name: "a", Version: "1", API: "1.0", Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"x"}}, Entry: "a",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestVersionAsWritten(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{"7": "7", "1.10": "1.10", `"2"`: "2", "1.2.3": "1.2.3", "v4": "v4", "007": "007"} {
		got, err := Decode("f", []byte(strings.Replace(short, "version: 1", "version: "+written, 1)))
		if err != nil || got.Version != want {
			t.Errorf("%s: got %q, %v", written, got.Version, err)
		}
	}
}

func TestAliases(t *testing.T) {
	t.Parallel()
	got, err := Decode("f", []byte("name: a\nversion: 1\ninput: &both {size: all, detections: &c [x, y]}\noutput: {size: all, detections: *c}\n"))
	if err != nil || !slices.Equal(got.Output.Detections, []string{"x", "y"}) || !slices.Equal(got.Input.Detections, []string{"x", "y"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOptionsAsList(t *testing.T) {
	t.Parallel()
	got, err := Decode("f", []byte(short+"options:\n- {name: b, type: int, default: 2}\n- name: a\n  type: bool\n  default: false\n"))
	want := []core.Option{{Name: "b", Type: core.IntOption, Default: int64(2)}, {Name: "a", Type: core.BoolOption, Default: false}}
	if err != nil || !reflect.DeepEqual(got.Options, want) {
		t.Errorf("got %+v, %v", got.Options, err)
	}
}

func option(body string) string { return short + "options:\n  threshold:\n    " + body + "\n" }

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"empty":                  {"", `capsule.yaml: the file is empty (want a manifest: name, version, output)`},
		"comment only":           {"# nothing\n", `capsule.yaml: the file is empty (want a manifest: name, version, output)`},
		"two documents":          {short + "---\n" + short, `capsule.yaml:5: a second document begins here (one manifest a file)`},
		"list":                   {"- a\n", `capsule.yaml:1:1: a list is not a mapping (want keys: name, version, api, description, input, output, options, formats, picture, stateful, on_demand, every_n, gate, deadline, metric, models, needs, entry, files)`},
		"unknown key":            {short + "zzz: 1\n", `capsule.yaml:4:1: unknown key "zzz" (known keys: name, version, api, description, input, output, options, formats, picture, stateful, on_demand, every_n, gate, deadline, metric, models, needs, entry, files)`},
		"misspelt key":           {"name: a\nversion: 1\noutput:\n  size: all\n  detection: [x]\n", `capsule.yaml:5:3: output: unknown key "detection" (did you mean "detections"? known keys: size, detections, attributes, encoded, tracked, extra_data)`},
		"duplicate key":          {short + "name: b\n", `capsule.yaml:4:1: key "name" stands there twice (first in line 1)`},
		"duplicate in flow":      {"name: a\nversion: 1\noutput: {size: all, size: all}\n", `capsule.yaml:3:21: key "size" stands there twice (first in line 3)`},
		"no name":                {"version: 1\noutput: {size: all}\n", `capsule.yaml:1:1: key "name" is missing`},
		"no version":             {"name: a\noutput: {size: all}\n", `capsule.yaml:1:1: key "version" is missing`},
		"no output":              {"name: a\nversion: 1\n", `capsule.yaml:1:1: key "output" is missing`},
		"bad name":               {strings.Replace(short, "a", "a-b", 1), ``},
		"name a number":          {strings.Replace(short, "name: a", "name: 12", 1), `capsule.yaml:1:7: name: 12 is not text (want text; if it is meant so, quote it: "12")`},
		"name is nothing":        {strings.Replace(short, "name: a", "name:", 1), `capsule.yaml:1:1: name: nothing is not text (want text)`},
		"version a list":         {strings.Replace(short, "version: 1", "version: [1]", 1), `capsule.yaml:2:10: version: a list is not text (want text)`},
		"version empty":          {strings.Replace(short, "version: 1", `version: ""`, 1), `capsule.yaml:2:10: version: it is empty (want a version such as 1 or "1.2")`},
		"api no version":         {short + "api: v1\n", `capsule.yaml:4:6: api: "v1" is not a version (want major.minor, such as "1.0")`},
		"api too new":            {short + "api: 2.0\nnew_key: 1\n", `capsule.yaml:4:6: api: version 2.0 is not spoken here (this build speaks 1.0 to 1.0)`},
		"size unknown":           {strings.Replace(short, "all", "some", 1), `capsule.yaml:3:16: output.size: "some" is no size (want none, single or all)`},
		"output none":            {strings.Replace(short, "all", "none", 1), `capsule.yaml:3:9: output: size: none says that the capsule gives nothing; use single or all`},
		"no size":                {"name: a\nversion: 1\noutput: {detections: [x]}\n", `capsule.yaml:3:9: output: key "size" is missing`},
		"detections text":        {strings.Replace(short, "[x]", "x", 1), `capsule.yaml:3:33: output.detections: "x" is not a list (want a list of texts: [a, b])`},
		"detection a bool":       {strings.Replace(short, "[x]", "[x, true]", 1), `capsule.yaml:3:37: output.detections[1]: true is not text (want text; if it is meant so, quote it: "true")`},
		"detection twice":        {strings.Replace(short, "[x]", "[x, y, x]", 1), `capsule.yaml:3:40: output.detections[2]: "x" stands there twice (also as output.detections[0])`},
		"detection empty":        {strings.Replace(short, "[x]", `[" "]`, 1), `capsule.yaml:3:34: output.detections[0]: it is empty (want text)`},
		"attributes a list":      {strings.Replace(short, "}", ", attributes: [a]}", 1), `capsule.yaml:3:50: output.attributes: a list is not a mapping (want category: [value, value])`},
		"category without value": {strings.Replace(short, "}", ", attributes: {a: []}}", 1), `capsule.yaml:3:54: output.attributes.a: it has no values (want the list of values that the category may have)`},
		"encoded text":           {strings.Replace(short, "}", `, encoded: "yes"}`, 1), `capsule.yaml:3:47: output.encoded: "yes" is not a bool (want true or false)`},
		"encoder without option": {strings.Replace(short, "}", `, encoded: true}`, 1), `capsule.yaml:1:1: options: an encoder needs the float option recognition_threshold`},
		"options a text":         {short + "options: x\n", `capsule.yaml:4:10: options: "x" is not a mapping (want name: {type: float, default: 0.5})`},
		"option name":            {short + "options: {a-b: {type: int, default: 1}}\n", `capsule.yaml:4:11: options.a-b: "a-b" is no name of an option (want letters a-z A-Z, digits and _)`},
		"listed without name":    {short + "options: [{type: int, default: 1}]\n", `capsule.yaml:4:11: options[0]: key "name" is missing`},
		"listed twice":           {short + "options: [{name: a, type: int, default: 1}, {name: a, type: int, default: 1}]\n", `capsule.yaml:4:10: options: "a" stands there twice`},
		"option without type":    {option("default: 1"), `capsule.yaml:6:5: options.threshold: key "type" is missing (want one of [float int enum bool str secret list duration])`},
		"option type":            {option("type: number"), `capsule.yaml:6:11: options.threshold.type: "number" is no type of an option (want one of [float int enum bool str secret list duration])`},
		"option key":             {option("typ: int"), `capsule.yaml:6:5: options.threshold: unknown key "typ" (did you mean "type"? known keys: type, default, min, max, choices, description)`},
		"no default":             {option("type: int"), `capsule.yaml:6:5: options.threshold: key "default" is missing (want an int)`},
		"default text":           {option("{type: float, default: high, min: 0, max: 1}"), `capsule.yaml:6:28: options.threshold.default: "high" is not a number (want a float within 0..1)`},
		"default too large":      {option("{type: float, default: 1.5, min: 0, max: 1}"), `capsule.yaml:6:28: options.threshold.default: 1.5 is not within 0..1 (want a float within 0..1)`},
		"default a fraction":     {option("{type: int, default: 1.5}"), `capsule.yaml:6:26: options.threshold.default: 1.5 is not a whole number of 64 bits (want an int)`},
		"default not finite":     {option("{type: float, default: .inf}"), `capsule.yaml:6:28: options.threshold.default: +Inf is not a finite number (want a float)`},
		"default NaN":            {option("{type: float, default: .nan}"), `capsule.yaml:6:28: options.threshold.default: NaN is not a finite number (want a float)`},
		"default no choice":      {option("{type: enum, default: c, choices: [a, b]}"), `capsule.yaml:6:27: options.threshold.default: "c" is not one of [a, b] (want one of [a, b])`},
		"default bool as text":   {option(`{type: bool, default: "true"}`), `capsule.yaml:6:27: options.threshold.default: "true" is not true or false (want true or false)`},
		"default null":           {option(`{type: bool, default: null}`), `capsule.yaml:6:18: options.threshold.default: nothing is not true or false (want true or false)`},
		"default mixed list":     {option(`{type: list, default: [a, 1]}`), `capsule.yaml:6:27: options.threshold.default: 1 is not a string of the list (want a list of texts)`},
		"default no duration":    {option(`{type: duration, default: soon, min: 1s}`), `capsule.yaml:6:31: options.threshold.default: "soon" is not a duration such as 250ms or 5s (want a duration such as 250ms or 5s within 1.. seconds)`},
		"enum without choices":   {option(`{type: enum, default: a}`), `capsule.yaml:6:5: options.threshold: an enum needs choices (want choices: [a, b])`},
		"choices of an int":      {option(`{type: int, default: 1, choices: [a]}`), `capsule.yaml:6:38: options.threshold: a int has no choices (choices are for an enum)`},
		"limit of a text":        {option(`{type: str, default: a, min: 1}`), `capsule.yaml:6:34: options.threshold.min: a str has no limits (limits are for int, float and duration)`},
		"limit no number":        {option(`{type: int, default: 1, min: low}`), `capsule.yaml:6:34: options.threshold.min: "low" is not a number (want a number)`},
		"limits crossed":         {option(`{type: int, default: 1, min: 3, max: 1}`), `capsule.yaml:6:34: options.threshold: min 3 is above max 1`},
		"format unknown":         {short + "formats: [RGB, YUY2]\n", `capsule.yaml:4:16: formats[1]: "YUY2" is no pixel format (want one of [GRAY8 I420 NV12 RGB BGR])`},
		"picture both":           {short + "picture: {max_side: 1, width: 2, height: 2}\n", `capsule.yaml:4:10: picture: its keys do not go together (want either max_side, or width and height)`},
		"picture half":           {short + "picture: {width: 2}\n", `capsule.yaml:4:10: picture: its keys do not go together (want either max_side, or width and height)`},
		"picture filter":         {short + "picture: {max_side: 9, filter: cubic}\n", `capsule.yaml:4:32: picture.filter: "cubic" is no filter (want one of [linear opencv], or leave it out)`},
		"picture huge":           {short + "picture: {max_side: 99999}\n", `capsule.yaml:4:21: picture.max_side: 99999 is not a whole number in range (want 1..16384)`},
		"every_n":                {short + "every_n: -1\n", `capsule.yaml:4:10: every_n: -1 is not a whole number in range (want 0..1073741824)`},
		"gate":                   {short + "gate: motion\n", `capsule.yaml:4:7: gate: "motion" is not a mapping (want keys: class, hold, at_least)`},
		"gate of nothing":        {short + "gate: {}\n", `capsule.yaml:4:7: gate: it has neither class nor at_least (leave gate out for a capsule that runs on every frame)`},
		"gate without a class":   {short + "gate: {hold: 2s}\n", `capsule.yaml:4:7: gate: class: is empty, so there is nothing to hold for (want class, hold and at_least)`},
		"gate with a key":        {short + "gate: {clas: a}\n", `capsule.yaml:4:8: gate: unknown key "clas" (did you mean "class"? known keys: class, hold, at_least)`},
		"every_n a fraction":     {short + "every_n: 1.5\n", `capsule.yaml:4:10: every_n: 1.5 is not a whole number in range (want 0..1073741824)`},
		"deadline":               {short + "deadline: soon\n", `capsule.yaml:4:11: deadline: "soon" is not a duration such as 250ms or 5s (want a duration such as 250ms or 5s)`},
		"deadline negative":      {short + "deadline: -1s\n", `capsule.yaml:4:11: deadline: -1s is not within 0.. (want a duration such as 250ms or 5s)`},
		"metric":                 {short + "metric: manhattan\n", `capsule.yaml:4:9: metric: "manhattan" is no metric (want cosine or euclidean)`},
		"entry absolute":         {short + "entry: /bin/sh\n", `capsule.yaml:4:8: entry: "/bin/sh" is not relative (want the path of a program inside the capsule's folder, with /)`},
		"entry upwards":          {short + "entry: bin/../../x\n", `capsule.yaml:4:8: entry: "bin/../../x" may leave the folder (want the path of a program inside the capsule's folder, with /)`},
		"entry backslash":        {short + "entry: 'bin\\x'\n", `capsule.yaml:4:8: entry: "bin\\x" is not a plain path (want the path of a program inside the capsule's folder, with /)`},
		"entry a folder":         {short + "entry: ./\n", `capsule.yaml:4:8: entry: "./" names no file (want the path of a program inside the capsule's folder, with /)`},
		"option not there":       {strings.Replace(short, "[x]", `["${classes}"]`, 1), `capsule.yaml:3:9: output: ${classes} is not an option of type str, enum or list`},
		"tag":                    {strings.Replace(short, "name: a", "name: !!python/object a", 1), `capsule.yaml:1:7: tag !!python/object has no meaning here (remove it)`},
		"merge key":              {short + "<<: {stateful: true}\n", `capsule.yaml:4:1: << is no key (want text; quote it if it is meant so)`},
		"alias of nothing":       {short + "entry: *b\n", `capsule.yaml:4:8: there is no &b above *b`},
		"alias of itself":        {short + "formats: &f [*f]\n", `capsule.yaml:4:14: there is no &f above *f`},
		"no YAML":                {"name: [a\n", ``},
		"tab":                    {"name: a\n\tversion: 1\n", ``},
		"binary":                 {"name: a\nvers\x00ion: 1\n", `capsule.yaml:2: byte 0x00 is not text (a manifest is YAML in UTF-8)`},
		"not UTF-8":              {"name: \xff\n", `capsule.yaml:1: byte 0xff is not text (a manifest is YAML in UTF-8)`},
		"deep flow":              {"name: " + strings.Repeat("[", 100000), `capsule.yaml:1:23: it nests too deep (at most 16 levels)`},
		"deep dashes":            {strings.Repeat("- ", 100000), `capsule.yaml:1:33: it nests too deep (at most 16 levels)`},
		"deep questions":         {strings.Repeat("? ", 100000), ``},
		"deep tags":              {strings.Repeat("!a ", 100000), ``},
		"deep block": {func() string {
			var b strings.Builder
			for i := range 1000 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), `capsule.yaml:17:18: it nests too deep (at most 16 levels)`},
		"wide mapping":      {strings.Repeat("a: 1\n", 200000), `capsule.yaml:2049:2: a mapping has too many keys (at most 2048)`},
		"wide flow mapping": {"a: {" + strings.Repeat("b: 1,", 200000) + "}", `capsule.yaml:1:10246: a mapping has too many keys (at most 2048)`},
		"many documents":    {strings.Repeat("a: 1\n---\n", 100000), `capsule.yaml:4098: there are too many documents (at most 2048)`},
		"too large":         {short + strings.Repeat("# filler\n", 200000), `capsule.yaml: the file has 1800056 bytes (at most 1048576)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode("capsule.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("it was taken")
			}
			if got := err.Error(); got != c.want && c.want != "" {
				t.Errorf("\ngot  %s\nwant %s", got, c.want)
			}
			if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "capsule.yaml:") || len(err.Error()) > 400 {
				t.Errorf("not one short line with the file: %s", err)
			}
			want := core.Invalid
			if name == "api too new" {
				want = core.CapsuleVersion
			}
			if k := core.KindOf(err); k != want {
				t.Errorf("kind %s, want %s", k, want)
			}
		})
	}
}

// A few aliases of aliases stand for billions of values; they must be counted, not built.
func TestAliasBomb(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		prev, next := string(rune('a'+i)), string(rune('b'+i))
		b.WriteString(next + "0: &" + next + "0 [" + strings.TrimSuffix(strings.Repeat("*"+prev+"0, ", 8), ", ") + "]\n")
	}
	_, err := Decode("f", []byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "too many values") {
		t.Errorf("got %v", err)
	}
}

func TestDecodeList(t *testing.T) {
	t.Parallel()
	second := strings.Replace(short, "name: a", "name: b", 1)
	indented := "- " + strings.ReplaceAll(strings.TrimSpace(short), "\n", "\n  ") + "\n- " + strings.ReplaceAll(strings.TrimSpace(second), "\n", "\n  ") + "\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"list":      {indented, []string{"a", "b"}},
		"single":    {short, []string{"a"}},
		"documents": {short + "---\n" + second, []string{"a", "b"}},
		"empty":     {"", nil},
		"no items":  {"[]\n", nil},
	} {
		got, err := DecodeList("f", []byte(c.text))
		var names []string
		for _, d := range got {
			names = append(names, d.Name)
		}
		if err != nil || !slices.Equal(names, c.want) {
			t.Errorf("%s: got %v, %v", name, names, err)
		}
	}
	// A long list of small manifests is no deep or wide one.
	var long strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&long, "- name: c%d\n  version: 1\n  input: {size: all, detections: [a]}\n  output:\n    size: all\n    attributes:\n      a:\n      - b\n      c: [d]\n    extra_data:\n      - e\n", i)
	}
	if got, err := DecodeList("f", []byte(long.String())); err != nil || len(got) != 3000 || got[2999].Name != "c2999" {
		t.Errorf("long: %d, %v", len(got), err)
	}
	_, err := DecodeList("f.yaml", []byte(indented+"- name: c\n  versio: 1\n"))
	if err == nil || !strings.HasPrefix(err.Error(), `f.yaml:8:3: unknown key "versio" (did you mean "version"?`) {
		t.Errorf("got %v", err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) || core.KindOf(err) != core.NotFound {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := Load(path); err != nil || d.Name != "classifier_face_mood" {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := Load(dir); core.KindOf(err) != core.Invalid {
		t.Errorf("a folder: %v", err)
	}
}

func TestEncodeGolden(t *testing.T) {
	t.Parallel()
	got, err := Encode(wholeDeclaration())
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/whole.yaml")
	if err != nil || string(got) != string(want) {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*core.Declaration){
		"name":      func(d *core.Declaration) { d.Name = "a b" },
		"output":    func(d *core.Declaration) { d.Output.Size = core.SizeNone },
		"entry":     func(d *core.Declaration) { d.Entry = "../x" },
		"api":       func(d *core.Declaration) { d.API = "" },
		"new api":   func(d *core.Declaration) { d.API = "9.0" },
		"not UTF-8": func(d *core.Declaration) { d.Description = "\xff" },
		"delete":    func(d *core.Declaration) { d.Output.Attributes[0].Values[0] = "\x7f" },
	} {
		d := wholeDeclaration()
		spoil(&d)
		if b, err := Encode(d); err == nil || b != nil || core.KindOf(err).Blame() == "capstan" {
			t.Errorf("%s: got %d bytes, %v", name, len(b), err)
		}
	}
}

// What Encode writes, Decode reads as the same, for declarations of every shape.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	valid := 0
	for range 1200 {
		d := randomDeclaration(rng)
		if d.Validate() != nil {
			continue
		}
		valid++
		text, err := Encode(d)
		if err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		got, err := Decode("f", text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !reflect.DeepEqual(got, d) {
			t.Fatalf("got  %+v\nwant %+v\nin\n%s", got, d, text)
		}
		again, err := Encode(got)
		if err != nil || string(again) != string(text) {
			t.Fatalf("written again: %v\n%s\n%s", err, text, again)
		}
	}
	if valid < 400 {
		t.Errorf("only %d were valid", valid)
	}
}

var awkward = []string{
	"person", "safety vest", "yes", "No", "null", "~", "", " ", "a: b", "a #b", "- x", "[x]", "{a}", "*a", "&a", "!t", "|", ">", "'", `"`, `\`, "1", "1.5", "0x1f", "1e3", ".inf", ".NaN",
	"line\nbreak", "tab\t", "\r\n", "\u00e9", "\u2028", "日本語", "😀", "---", "...", "?", "@x", "`", "%d", "lie/sleep", "bend/bow (at the waist)", "12 - 17 years", "Under 12 years", "65+ years",
	"\x01", "\u0085", "\ufeff", "\x00", "=", "<<", "2001-01-01", "1_000", "0o7", "true ", "key:", ":", "a,b", "$", "x${y}", "12:30:45", "-", "--", "_", "0", "-0", "+1",
}

func randomDeclaration(rng *rand.Rand) core.Declaration {
	word := func() string {
		if rng.IntN(4) > 0 {
			return awkward[rng.IntN(len(awkward))]
		}
		r := make([]rune, 1+rng.IntN(6))
		for i := range r {
			r[i] = rune(rng.IntN(0x300))
		}
		return strings.ReplaceAll(string(r), "\x7f", "")
	}
	words := func() []string {
		var l []string
		for range rng.IntN(4) {
			if w := word(); !slices.Contains(l, w) && strings.TrimSpace(w) != "" {
				l = append(l, w)
			}
		}
		return l
	}
	describe := func(s core.Size) core.Description {
		d := core.Description{Size: s, Detections: words(), ExtraData: words(), Encoded: rng.IntN(8) == 0, Tracked: rng.IntN(2) == 0}
		for _, w := range words() {
			if v := words(); len(v) > 0 {
				d.Attributes = append(d.Attributes, core.Attribute{Name: w, Values: v})
			}
		}
		return d
	}
	d := core.Declaration{
		Name: "c" + string(rune('a'+rng.IntN(26))), Version: word(), API: "1.0", Description: word(),
		Input: describe(core.Size(1 + rng.IntN(3))), Output: describe(core.Size(2 + rng.IntN(2))),
		Stateful: rng.IntN(2) == 0, OnDemand: rng.IntN(2) == 0, EveryN: rng.IntN(4), Gate: randomGate(rng, word), Deadline: time.Duration(rng.IntN(3)) * time.Duration(rng.Int64N(1e12)), Entry: "x",
	}
	for i := range rng.IntN(6) {
		d.Options = append(d.Options, randomOption(rng, "o"+string(rune('a'+i)), word, words))
	}
	if d.Capability().Encoded {
		d.Options = append(d.Options, core.Option{Name: "recognition_threshold", Type: core.FloatOption, Default: rng.Float64()})
		d.Metric = core.Euclidean
	}
	switch rng.IntN(3) {
	case 0:
		d.Picture.MaxSide = 1 + rng.IntN(1<<14)
	case 1:
		d.Picture.Width, d.Picture.Height = 1+rng.IntN(99), 1+rng.IntN(99)
	}
	for _, i := range rng.Perm(len(core.PixelFormats))[:rng.IntN(3)] {
		d.Formats = append(d.Formats, core.PixelFormats[i])
	}
	return d
}

func randomGate(rng *rand.Rand, word func() string) core.Gate {
	g := core.Gate{AtLeast: time.Duration(rng.IntN(2)) * time.Duration(rng.Int64N(1e12))}
	if w := strings.TrimSpace(word()); w != "" && rng.IntN(2) == 0 {
		g.Class, g.Hold = w, time.Duration(rng.IntN(2))*time.Duration(rng.Int64N(1e12))
	}
	return g
}

func randomOption(rng *rand.Rand, name string, word func() string, words func() []string) core.Option {
	o := core.Option{Name: name, Type: core.OptionTypes[rng.IntN(len(core.OptionTypes))], Description: word()}
	number := func() float64 { return (rng.Float64() - 0.5) * []float64{1, 1e3, 1e-9, 1e15}[rng.IntN(4)] }
	switch o.Type {
	case core.FloatOption:
		o.Default = number()
	case core.IntOption:
		o.Default = rng.Int64() >> rng.IntN(64)
	case core.BoolOption:
		o.Default = rng.IntN(2) == 0
	case core.DurationOption:
		o.Default = time.Duration(rng.Int64()>>rng.IntN(64)) - time.Hour
	case core.ListOption:
		o.Default = append([]string{}, words()...)
	case core.EnumOption:
		o.Choices = append(words(), "last")
		o.Default = o.Choices[rng.IntN(len(o.Choices))]
	default:
		o.Default = word()
	}
	if o.Type == core.FloatOption || o.Type == core.IntOption || o.Type == core.DurationOption {
		if lo := number() - 1e18; rng.IntN(3) == 0 {
			o.Min = &lo
		}
		if hi := number() + 1e19; rng.IntN(3) == 0 {
			o.Max = &hi
		}
	}
	return o
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(short))
	f.Add([]byte(packaged))
	f.Add([]byte("- {name: a, version: 1, output: {size: all}}\n- *a\n"))
	f.Add([]byte("a: &a [*a]\n? b\n: !!x c\n--- |\n  x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		roundTrip(t, data)
		list, err := DecodeList("f", data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || core.KindOf(err) == core.Unknown {
				t.Fatalf("not a fault on one line: %q", err)
			}
			return
		}
		for _, d := range list {
			text, err := Encode(d)
			if err != nil {
				t.Fatalf("decoded but not encoded: %v", err)
			}
			again, err := Decode("f", text)
			if d.Entry == "" { // none for this platform: written alone it is one that has the name
				d.Entry = d.Name
			}
			if err != nil || !reflect.DeepEqual(again, d) {
				t.Fatalf("%v: got %+v, want %+v from\n%s", err, again, d, text)
			}
		}
	})
}

// roundTrip: a manifest with programs and files says the same when it is written and read again.
func roundTrip(t *testing.T, data []byte) {
	m, err := DecodeManifest("f", data)
	if err != nil {
		return
	}
	text, err := m.Encode()
	if err != nil {
		t.Fatalf("decoded but not encoded: %v", err)
	}
	if again, err := DecodeManifest("f", text); err != nil || !reflect.DeepEqual(again, m) {
		t.Fatalf("%v: got %+v, want %+v from\n%s", err, again, m, text)
	}
}
