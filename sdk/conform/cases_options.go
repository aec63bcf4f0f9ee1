package conform

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
)

func (t *trial) manifest() {
	if t.home.Program == nil {
		t.roundTrip()
		return
	}
	found, err := t.home.Program(t.ctx)
	if err != nil {
		what, mend := explain(err)
		t.fail(mend, "", "the program does not say what it is: %s", what)
		return
	}
	said := t.plain
	// Where the program lies is the manifest's to say, and what it needs of the machine is for
	// the host: neither crosses the process line.
	found.Entry, found.OnDemand, found.Models, found.Needs = said.Entry, said.OnDemand, said.Models, said.Needs
	a, errA := manifest.Encode(said)
	b, errB := manifest.Encode(found)
	if errA != nil || errB != nil {
		t.fail("", "", "a declaration has no manifest: %v, %v", errA, errB)
		return
	}
	ours, theirs := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range max(len(ours), len(theirs)) {
		if x, y := lineOf(ours, i), lineOf(theirs, i); x != y {
			t.fail("Write the manifest anew from the program, or mend the program's declaration.", "",
				"line %d of the manifest would be %q by the program, and is %q", i+1, strings.TrimSpace(y), strings.TrimSpace(x))
			return
		}
	}
}

func lineOf(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// roundTrip holds a declaration against its own manifest.
func (t *trial) roundTrip() {
	text, err := manifest.Encode(t.plain)
	var back core.Declaration
	if err == nil {
		back, err = manifest.Decode("capsule.yaml", text)
	}
	var again []byte
	if err == nil {
		again, err = manifest.Encode(back)
	}
	if err != nil || string(again) != string(text) {
		t.fail("Texts of a declaration are printable, numbers finite.", "", "the declaration does not survive its manifest: %v", err)
	}
}

// worthTrying gives the values of an option that have to be taken: the default, the limits, each
// choice.
func worthTrying(o core.Option) []any {
	values := []any{o.Default}
	switch o.Type {
	case core.BoolOption:
		return []any{true, false}
	case core.EnumOption:
		for _, c := range o.Choices {
			if c != o.Default {
				values = append(values, c)
			}
		}
	case core.FloatOption, core.IntOption, core.DurationOption:
		for _, limit := range []*float64{o.Min, o.Max} {
			if limit == nil {
				continue
			}
			if v, err := o.Check(*limit); err == nil && v != o.Default {
				values = append(values, v)
			}
		}
	}
	return values
}

// worthRefusing gives values of an option that must not be taken, in words.
func worthRefusing(o core.Option) map[string]any {
	bad := map[string]any{"nothing": nil, "an object": map[string]any{"a": 1.0}}
	switch o.Type {
	case core.FloatOption, core.IntOption, core.DurationOption:
		bad["true"], bad["NaN"], bad["infinity"] = true, math.NaN(), math.Inf(1)
		bad["a word"] = "many"
		step := 1.0
		if o.Type == core.FloatOption {
			step = 1e-6
		}
		if o.Min != nil {
			bad["just below its least"] = beyond(*o.Min, -step)
		}
		if o.Max != nil {
			bad["just above its most"] = beyond(*o.Max, step)
		}
		if o.Type == core.IntOption {
			bad["a fraction"] = 1.5
		}
	case core.BoolOption:
		bad["1"], bad[`"true"`] = 1.0, "true"
	case core.EnumOption:
		bad["a word that is no choice"], bad["a number"] = strings.Join(o.Choices, "")+"?", 1.0
	case core.ListOption:
		bad["a text"], bad["a list of numbers"] = "a,b", []any{1.0, 2.0}
	default:
		bad["a number"] = 1.0
	}
	return bad
}

// beyond moves a limit by step, or by what can be told apart where it is large.
func beyond(limit, step float64) float64 {
	if next := limit + step; next != limit {
		return next
	}
	return math.Nextafter(limit, math.Inf(int(step)))
}

// shown gives a value for a sentence; secrets stay secret.
func shown(o core.Option, v any) string {
	if o.Type == core.SecretOption {
		return "a secret"
	}
	if d, ok := v.(time.Duration); ok {
		return d.String()
	}
	return fmt.Sprintf("%.60v", v)
}

func (t *trial) limits() {
	if len(t.plain.Options) == 0 {
		t.skip("it has no options")
		return
	}
	for _, o := range t.plain.Options {
		taken, refusal := 0, ""
		values := worthTrying(o)
		if given, ok := t.Options[o.Name]; ok {
			values[0] = given
		}
		for _, v := range values {
			if refused := t.value(o, v); refused == "" {
				taken++
			} else {
				refusal = refused
				t.note("That is right if it does not go with the other options; else widen what it takes, or narrow the limits.", "%s=%s is refused: %s", o.Name, shown(o, v), refused)
			}
		}
		if taken == 0 {
			t.fail("Take at least its default, or declare another one.", "", "not one value of option %s is taken: %s", o.Name, refusal)
		}
	}
}

// value runs a few frames with one option set; it says why the capsule refuses it, with an error
// and no panic.
func (t *trial) value(o core.Option, v any) (refused string) {
	s := t.started()
	if s == nil {
		return ""
	}
	st, err := t.tryOpen(s, map[string]any{o.Name: v})
	if err != nil {
		what, mend := explain(err)
		if kind := core.KindOf(err); strings.Contains(what, "panic in ") || kind == core.CapsuleExited || kind == core.CapsuleDeadline {
			t.fail(mend, "", "with %s=%s a stream cannot be opened: %s", o.Name, shown(o, v), what)
			t.drop()
			return ""
		}
		return what
	}
	defer st.close()
	random := t.random(9)
	for i := range 3 {
		if i > 0 && t.over() {
			break
		}
		f := t.filled(Patterns[1+i], t.accepted()[0], plainW, plainH, 0, false, uint64(i))
		if i == 2 {
			f = t.pictured(0, t.accepted()[0])
		}
		f.Nodes = Nodes(random, st.decl.Input, f.Info.Caps, 3)
		if !st.give(f) {
			t.note("", "that was with %s=%s", o.Name, shown(o, v))
			t.drop()
			return ""
		}
	}
	return ""
}

func (t *trial) refusals() {
	s := t.started()
	if s == nil {
		return
	}
	values := map[string]map[string]any{"an option that does not exist": {"no_such_option_here": 1.0}}
	for _, o := range t.plain.Options {
		for word, v := range worthRefusing(o) {
			values[o.Name+": "+word] = map[string]any{o.Name: v}
		}
	}
	for _, word := range slices.Sorted(maps.Keys(values)) {
		given := values[word]
		if st, err := t.tryOpen(s, given); err == nil {
			st.close()
			t.fail("Check options as their declaration says: limits are inclusive, booleans are not numbers, NaN and infinity are refused.", "", "it takes %s", word)
		} else if kind := core.KindOf(err); kind == core.CapsuleExited || kind == core.CapsuleDeadline || strings.Contains(err.Error(), "panic in ") {
			what, mend := explain(err)
			t.fail(mend, "", "%s: %s", word, what)
			return
		}
	}
	if st := t.open(s, nil); st != nil {
		defer st.close()
		st.give(t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, 1))
	}
}

// changes gives every option another value on an open stream and goes on with frames; a value
// that is refused must leave the stream working with what it had.
func (t *trial) changes() {
	if len(t.plain.Options) == 0 {
		t.skip("it has no options")
		return
	}
	st := t.begin()
	if st == nil {
		return
	}
	defer func() { st.close() }()
	for _, o := range t.plain.Options {
		for _, v := range worthTrying(o) {
			if _, ok := t.Options[o.Name]; ok || t.over() {
				break
			}
			if err := st.subject.OpenStream(t.ctx, st.id, t.with(map[string]any{o.Name: v})); err != nil {
				continue // refused: the case options says so
			}
			f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, 1)
			f.Nodes = Nodes(t.random(10), t.decl.Input, f.Info.Caps, 2)
			if _, err := st.try(f); err != nil && (!refusedLater(err)) {
				what, mend := explain(err)
				t.fail(mend, st.where(f), "after %s=%s was set: %s", o.Name, shown(o, v), what)
			}
		}
	}
	if err := st.subject.OpenStream(t.ctx, st.id, t.with(nil)); err != nil {
		what, mend := explain(err)
		t.fail(mend, "", "the options it began with are refused on an open stream: %s", what)
		return
	}
	f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, 1)
	f.Nodes = Nodes(t.random(11), t.decl.Input, f.Info.Caps, 2)
	st.give(f)
}

// refusedLater says whether a frame failed because a processor could not be opened with new
// options: it is opened when the next frame comes.
func refusedLater(err error) bool {
	text := err.Error()
	return strings.Contains(text, "open stream") && !strings.Contains(text, "panic in ")
}
