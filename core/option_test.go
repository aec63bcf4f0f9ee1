package core

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func opt(t OptionType, limits ...float64) Option {
	o := Option{Name: "o", Type: t}
	if len(limits) > 0 && !math.IsInf(limits[0], 0) {
		o.Min = &limits[0]
	}
	if len(limits) > 1 && !math.IsInf(limits[1], 0) {
		o.Max = &limits[1]
	}
	if t == EnumOption {
		o.Choices = []string{"a", "b"}
	}
	return o
}

func TestOptionCheck(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	unit, above, below := opt(FloatOption, 0, 1), opt(FloatOption, 0), opt(FloatOption, -inf, 1)
	small, whole := opt(IntOption, 0, 5), opt(IntOption)
	for name, c := range map[string]struct {
		o    Option
		v    any
		want any
		err  string // part of the error; empty: none
	}{
		"float 0":                {unit, 0.0, 0.0, ""},
		"float 1":                {unit, 1.0, 1.0, ""},
		"float middle":           {unit, 0.5, 0.5, ""},
		"float of an int":        {unit, 1, 1.0, ""},
		"float of JSON 1":        {unit, json.Number("1"), 1.0, ""},
		"float of int64":         {unit, int64(1), 1.0, ""},
		"float just above":       {unit, 1.0000001, nil, "1.0000001 is not within 0..1"},
		"float NaN":              {unit, math.NaN(), nil, "NaN is not a finite number"},
		"float infinity":         {above, inf, nil, "+Inf is not a finite number"},
		"float JSON too large":   {above, json.Number("1e400"), nil, "1e400 is not a number"},
		"float below zero":       {below, -0.1, -0.1, ""},
		"float of a bool":        {unit, true, nil, "true is not a number"},
		"float of a text":        {unit, "0.5", nil, `"0.5" is not a number`},
		"float of nothing":       {unit, nil, nil, "nothing is not a number"},
		"float of a list":        {unit, []any{1.0}, nil, "a []interface {} is not a number"},
		"int of a bool":          {small, true, nil, "true is not a whole number"},
		"int of 1.0":             {small, 1.0, int64(1), ""},
		"int of JSON 1.0":        {small, json.Number("1.0"), int64(1), ""},
		"int of a fraction":      {small, 1.5, nil, "1.5 is not a whole number"},
		"int too large":          {small, 6, nil, "6 is not within 0..5"},
		"int too small":          {small, -1, nil, "-1 is not within 0..5"},
		"int 1e20":               {whole, 1e20, nil, "is not a whole number of 64 bits"},
		"int JSON 1e20":          {whole, json.Number("100000000000000000000"), nil, "is not a whole number of 64 bits"},
		"int largest":            {whole, json.Number("9223372036854775807"), int64(math.MaxInt64), ""},
		"int one more":           {whole, json.Number("9223372036854775808"), nil, "64 bits"},
		"int uint64 too large":   {whole, uint64(1 << 63), nil, "64 bits"},
		"int smallest":           {whole, int64(math.MinInt64), int64(math.MinInt64), ""},
		"int NaN":                {whole, math.NaN(), nil, "is not a whole number"},
		"enum":                   {opt(EnumOption), "a", "a", ""},
		"enum not a choice":      {opt(EnumOption), "c", nil, `"c" is not one of [a, b]`},
		"enum of a number":       {opt(EnumOption), 1, nil, "1 is not a string"},
		"bool":                   {opt(BoolOption), false, false, ""},
		"bool of a number":       {opt(BoolOption), 1, nil, "1 is not true or false"},
		"bool of a text":         {opt(BoolOption), "true", nil, `"true" is not true or false`},
		"bool of nothing":        {opt(BoolOption), nil, nil, "nothing is not true or false"},
		"text":                   {opt(StringOption), "", "", ""},
		"text of a number":       {opt(StringOption), 1, nil, "1 is not a string"},
		"secret":                 {opt(SecretOption), "hush", "hush", ""},
		"secret is not shown":    {opt(SecretOption), 123456, nil, "a secret is a string"},
		"list":                   {opt(ListOption), []any{"a", "b"}, []string{"a", "b"}, ""},
		"list of Go":             {opt(ListOption), []string{"a"}, []string{"a"}, ""},
		"list empty":             {opt(ListOption), []any{}, []string{}, ""},
		"list with a number":     {opt(ListOption), []any{"a", 1}, nil, "1 is not a string of the list"},
		"list of a text":         {opt(ListOption), "a", nil, `"a" is not a list of strings`},
		"duration":               {opt(DurationOption), "250ms", 250 * time.Millisecond, ""},
		"duration in seconds":    {opt(DurationOption), 1.5, 1500 * time.Millisecond, ""},
		"duration of Go":         {opt(DurationOption), time.Second, time.Second, ""},
		"duration no unit":       {opt(DurationOption), "5", nil, "is not a duration"},
		"duration of a bool":     {opt(DurationOption), true, nil, "true is not a duration"},
		"duration too long":      {opt(DurationOption), 1e18, nil, "too long"},
		"duration beyond limits": {opt(DurationOption, 0, 1), "2s", nil, "2s is not within 0..1"},
		"unknown type":           {Option{Name: "o", Type: "colour"}, 1, nil, `type "colour" is not one of`},
	} {
		got, err := c.o.Check(c.v)
		if c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %v (%T), %v", name, got, got, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || KindOf(err) != Invalid || !strings.Contains(err.Error(), "option: o: ")) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestOptionValidate(t *testing.T) {
	t.Parallel()
	with := func(o Option, def any) Option { o.Default = def; return o }
	for name, c := range map[string]struct {
		o   Option
		err string
	}{
		"float, whole default":     {with(opt(FloatOption), 1), ""}, // JSON has one kind of number
		"float, default too large": {with(opt(FloatOption, 0, 1), 2.0), "default: option: o: 2 is not within 0..1"},
		"int, min above max":       {with(opt(IntOption, 5, 1), 3), "min 5 is above max 1"},
		"enum without choices":     {Option{Name: "o", Type: EnumOption, Default: "a"}, "an enum needs choices"},
		"enum, default no choice":  {with(opt(EnumOption), "z"), `"z" is not one of [a, b]`},
		"enum, choice twice":       {Option{Name: "o", Type: EnumOption, Choices: []string{"a", "a"}, Default: "a"}, "stands there twice"},
		"bool, null default":       {opt(BoolOption), "it has no default"},
		"choices of an int":        {Option{Name: "o", Type: IntOption, Choices: []string{"a"}, Default: 1}, "choices are for an enum"},
		"no name":                  {Option{Type: IntOption, Default: 1}, "characters other than"},
		"bad name":                 {Option{Name: "a-b", Type: IntOption, Default: 1}, "characters other than"},
		"no type":                  {Option{Name: "o", Default: 1}, `type "" is not one of`},
		"limit NaN":                {with(opt(FloatOption, math.NaN()), 1.0), "limit NaN is not a finite number"},
		"limit infinite":           {Option{Name: "o", Type: FloatOption, Default: 1.0, Max: new(math.Inf(1))}, "limit +Inf is not a finite number"},
		"fine":                     {with(opt(DurationOption, 0, 10), "5s"), ""},
	} {
		err := c.o.Validate()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Option{"": opt(IntOption), "0..1": opt(FloatOption, 0, 1), "0.5..": opt(FloatOption, 0.5), "..1e+21": opt(FloatOption, math.Inf(-1), 1e21)} {
		if o.Limits() != want {
			t.Errorf("got %q, want %q", o.Limits(), want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    Option
		text string
		want any // nil: refused
	}{
		"float":             {opt(FloatOption), "0.25", 0.25},
		"float exponent":    {opt(FloatOption), "1e-3", 0.001},
		"float NaN":         {opt(FloatOption), "NaN", nil},
		"float Inf":         {opt(FloatOption), "inf", nil},
		"float text":        {opt(FloatOption), "high", nil},
		"float empty":       {opt(FloatOption), "", nil},
		"int":               {opt(IntOption), "-7", int64(-7)},
		"int fraction":      {opt(IntOption), "1.5", nil},
		"int limits":        {opt(IntOption, 0, 5), "6", nil},
		"bool":              {opt(BoolOption), "true", true},
		"bool 0":            {opt(BoolOption), "0", false},
		"bool text":         {opt(BoolOption), "yes", nil},
		"enum":              {opt(EnumOption), "b", "b"},
		"enum other":        {opt(EnumOption), "c", nil},
		"text":              {opt(StringOption), "1, 2=3", "1, 2=3"},
		"list":              {opt(ListOption), "a, b,,c ", []string{"a", "b", "c"}},
		"list empty":        {opt(ListOption), "", []string{}},
		"duration":          {opt(DurationOption), "1m30s", 90 * time.Second},
		"duration seconds":  {opt(DurationOption), "2.5", 2500 * time.Millisecond},
		"duration no unit":  {opt(DurationOption), "5x", nil},
		"duration infinite": {opt(DurationOption), "inf", nil},
	} {
		got, err := c.o.Parse(c.text)
		if c.want == nil && KindOf(err) != Invalid || c.want != nil && (err != nil || !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %v (%T), %v", name, got, got, err)
		}
	}
}

// Whatever Parse takes is a value that Check takes again, unchanged.
func FuzzParse(f *testing.F) {
	for i, s := range []string{"0.5", "1e400", "true", "a,b", "5s", "-0", "9223372036854775808"} {
		f.Add(i, s)
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		o := opt(OptionTypes[uint(i)%uint(len(OptionTypes))])
		v, err := o.Parse(text)
		if err != nil {
			return
		}
		again, err := o.Check(v)
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%s %q: %v became %v, %v", o.Type, text, v, again, err)
		}
	})
}

func declaration() Declaration {
	return Declaration{
		Name: "tracker_x", Version: "1", API: APIVersion, Input: All(D("${classes}", "bike")), Output: All(D("${classes}", "bike"), TRK),
		Options: []Option{
			{Name: "classes", Type: ListOption, Default: []string{"person", "car"}},
			{Name: "n", Type: IntOption, Default: int64(3)},
			{Name: "threshold", Type: FloatOption, Default: 0.5, Min: new(0.0), Max: new(1.0)},
			{Name: "key", Type: StringOption, Default: "confidence"},
		},
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	d := declaration()
	for name, c := range map[string]struct {
		given map[string]any
		want  Values
		err   string
	}{
		"nothing given": {nil, Values{"classes": []string{"person", "car"}, "n": int64(3), "threshold": 0.5, "key": "confidence"}, ""},
		"some given":    {map[string]any{"n": json.Number("4"), "threshold": 1}, Values{"classes": []string{"person", "car"}, "n": int64(4), "threshold": 1.0, "key": "confidence"}, ""},
		"unknown":       {map[string]any{"zz": 3}, nil, `there is no option "zz"; it has: classes, n, threshold, key`},
		"refused":       {map[string]any{"threshold": 3.0}, nil, "option: threshold: 3 is not within 0..1"},
	} {
		got, err := d.Complete(c.given)
		if c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "tracker_x") || KindOf(err) != Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, _ := d.Complete(nil)
	a.List("classes")[0] = "spoilt"
	if b, _ := d.Complete(nil); b.List("classes")[0] != "person" {
		t.Error("defaults are shared and writable")
	}
	if _, err := (Declaration{Name: "x"}).Complete(map[string]any{"a": 1}); err == nil || !strings.Contains(err.Error(), "it has: none") {
		t.Errorf("no options: %v", err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	v := Values{"f": 1.5, "i": int64(2), "b": true, "s": "x", "l": []string{"a"}, "d": time.Second}
	if v.Float("f") != 1.5 || v.Int("i") != 2 || !v.Bool("b") || v.Text("s") != "x" || len(v.List("l")) != 1 || v.Duration("d") != time.Second {
		t.Errorf("wrong values of %v", v)
	}
	if v.Float("i") != 0 || v.Int("f") != 0 || v.Bool("s") || v.Text("b") != "" || v.List("s") != nil || v.Duration("none") != 0 {
		t.Error("a value of another type is given")
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   Description
		v    Values
		want Description
		err  string
	}{
		"list":        {All(D("${classes}", "bike")), Values{"classes": []string{"a", "b"}}, All(D("a", "b", "bike")), ""},
		"text":        {All(D("${one}")), Values{"one": "car"}, All(D("car")), ""},
		"key":         {All(X("x", "${k}")), Values{"k": "confidence"}, All(X("x", "confidence")), ""},
		"values":      {All(A("role", "none", "${roles}")), Values{"roles": []string{"a"}}, All(A("role", "none", "a")), ""},
		"empty list":  {All(D("${classes}")), Values{"classes": []string{}}, All(), ""},
		"plain":       {All(D("$x", "{y}", "${open")), nil, All(D("$x", "{y}", "${open")), ""},
		"unknown":     {All(D("${no}")), nil, All(), "${no} is not an option of type str, enum or list"},
		"number":      {All(D("${n}")), Values{"n": int64(1)}, All(), "${n} is not an option of type str, enum or list"},
		"twice":       {All(D("a", "${one}")), Values{"one": "a"}, All(), `"a" stands there twice`},
		"empty text":  {All(D("${one}")), Values{"one": ""}, All(), "entry 1 is empty"},
		"no value":    {All(A("role", "${r}")), Values{"r": []string{}}, All(), "role has no values"},
		"bad key":     {All(X("${k}")), nil, All(), "${k}"},
		"bad value":   {All(A("r", "${k}")), nil, All(), "${k}"},
		"name of one": {All(D("${}")), nil, All(), "${}"},
	} {
		before := c.in.String()
		d, err := Declaration{Name: "x", Input: c.in, Output: All()}.Resolve(c.v)
		if c.err == "" && (err != nil || !d.Input.Equal(c.want)) {
			t.Errorf("%s: %s, %v", name, d.Input, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "input")) {
			t.Errorf("%s: %v", name, err)
		}
		if c.in.String() != before {
			t.Errorf("%s: the declaration itself changed to %s", name, c.in)
		}
	}
	if _, err := (Declaration{Name: "x", Input: N(), Output: All(D("${no}"))}).Resolve(nil); err == nil || !strings.Contains(err.Error(), "output") {
		t.Errorf("output: %v", err)
	}
}

func TestCapability(t *testing.T) {
	t.Parallel()
	if got := declaration().Capability(); !got.Equal(All(TRK)) {
		t.Errorf("got %s", got)
	}
}

func TestDeclarationValidate(t *testing.T) {
	t.Parallel()
	threshold := Option{Name: "recognition_threshold", Type: FloatOption, Default: 0.8, Min: new(0.0)}
	for name, c := range map[string]struct {
		spoil func(*Declaration)
		err   string
	}{
		"fine":                    {func(*Declaration) {}, ""},
		"name A9_":                {func(d *Declaration) { d.Name = "A9_" }, ""},
		"name 9abc":               {func(d *Declaration) { d.Name = "9abc" }, ""},
		"name a-b":                {func(d *Declaration) { d.Name = "a-b" }, "name: "},
		"name with space":         {func(d *Declaration) { d.Name = "a b" }, "name: "},
		"name empty":              {func(d *Declaration) { d.Name = "" }, "name: "},
		"name é":                  {func(d *Declaration) { d.Name = "é" }, "name: "},
		"name a.b":                {func(d *Declaration) { d.Name = "a.b" }, "name: "},
		"name a/b":                {func(d *Declaration) { d.Name = "a/b" }, "name: "},
		"no version":              {func(d *Declaration) { d.Version = " " }, "version: is empty"},
		"output none":             {func(d *Declaration) { d.Output = N() }, "output: size: none"},
		"input of no size":        {func(d *Declaration) { d.Input = Description{} }, "input: size: 0"},
		"input none with a class": {func(d *Declaration) { d.Input = N(D("a")) }, "input: size: none takes no nodes"},
		"encoder": {func(d *Declaration) {
			d.Output.Encoded, d.Metric = true, Cosine
			d.Options = append(d.Options, threshold)
		}, ""},
		"encoder, no threshold": {func(d *Declaration) { d.Output.Encoded, d.Metric = true, Cosine }, "recognition_threshold"},
		"encoder, threshold int": {func(d *Declaration) {
			d.Output.Encoded, d.Metric = true, Cosine
			d.Options = append(d.Options, Option{Name: "recognition_threshold", Type: IntOption, Default: 1})
		}, "recognition_threshold"},
		"encoder, no metric":    {func(d *Declaration) { d.Output.Encoded = true; d.Options = append(d.Options, threshold) }, "metric: "},
		"passes encodings on":   {func(d *Declaration) { d.Input.Encoded, d.Output.Encoded = true, true }, ""},
		"option twice":          {func(d *Declaration) { d.Options = append(d.Options, d.Options[0]) }, "options: \"classes\" stands there twice"},
		"option bad":            {func(d *Declaration) { d.Options[1].Default = "x" }, "options: default"},
		"reference to a number": {func(d *Declaration) { d.Input.Detections[0] = "${n}" }, "${n}"},
		"every_n":               {func(d *Declaration) { d.EveryN = -1 }, "every_n: -1"},
		"deadline":              {func(d *Declaration) { d.Deadline = -1 }, "deadline: -1ns"},
		"format":                {func(d *Declaration) { d.Formats = []PixelFormat{"YUY2"} }, `formats: "YUY2"`},
		"format twice":          {func(d *Declaration) { d.Formats = []PixelFormat{RGB, RGB} }, `formats: "RGB" stands there twice`},
		"picture width alone":   {func(d *Declaration) { d.Picture.Width = 5 }, "picture: either"},
		"picture both":          {func(d *Declaration) { d.Picture = PictureSize{MaxSide: 1, Width: 2, Height: 3} }, "picture: either"},
		"picture filter":        {func(d *Declaration) { d.Picture.Filter = "cubic" }, `picture: filter "cubic" is not one of [linear opencv]`},
		"picture too large":     {func(d *Declaration) { d.Picture.MaxSide = 1 << 15 }, "picture: sides"},
		"picture below zero":    {func(d *Declaration) { d.Picture.Height = -1 }, "picture: sides"},
		"formats and exact picture": {func(d *Declaration) {
			d.Formats, d.Picture = []PixelFormat{GRAY8, RGB}, PictureSize{Width: 3, Height: 4}
		}, ""},
	} {
		d := declaration()
		c.spoil(&d)
		err := d.Validate()
		if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || KindOf(err) != Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckAPI(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]Kind{
		"1.0": Unknown, "01.00": Unknown, " 1.0 ": Unknown, // Unknown: no fault
		"1.1": CapsuleVersion, "0.3": CapsuleVersion, "2.0": CapsuleVersion, "1.30": CapsuleVersion, "99999999999999999999999.0": CapsuleVersion, "1.99999999999999999999999": CapsuleVersion,
		"1.0.0": Invalid, "1": Invalid, "abc": Invalid, "": Invalid, "v1.0": Invalid, "1.0-dev": Invalid, "-1.0": Invalid, "1.": Invalid, ".0": Invalid, "1. 0": Invalid, "+1.0": Invalid, "١.٠": Invalid,
	} {
		err := CheckAPI(version)
		if KindOf(err) != want || (err == nil) != (want == Unknown) {
			t.Errorf("%q: %v, want %s", version, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"detections", "attributes", "encoded", "tracked", "extra_data", "size"}
	for word, want := range map[string]string{
		"detection": "detections", "Detections": "detections", "atributes": "attributes", "extradata": "extra_data", "trakced": "tracked", "sise": "size",
		"zzz": "", "": "", "track": "tracked", "encode": "encoded", strings.Repeat("x", 10000): "",
	} {
		got := Nearest(word, known)
		if want == "" && len(got) != 0 || want != "" && (len(got) == 0 || got[0] != want) {
			t.Errorf("%.20q: %v, want %q", word, got, want)
		}
	}
	if got := Nearest("detector_face", []string{"detector_face_pigo", "detector_fast", "tracker", "detector_face"}); strings.Join(got, " ") != "detector_face detector_fast detector_face_pigo" {
		t.Errorf("order: %v", got)
	}
}
