package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// tableRows gives the rows of the tables of a document whose head is one of heads, with the head.
func tableRows(t *testing.T, file string, heads ...string) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][][]string{}
	head := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			head = ""
		case head == "":
			head = line
		case !strings.HasPrefix(line, "|---"):
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			rows[head] = append(rows[head], cells)
		}
	}
	for _, h := range heads {
		if len(rows[h]) == 0 {
			t.Fatalf("%s has no table %q", file, h)
		}
	}
	return rows
}

// optionOf reads an option as the tables name it: "float 0..1", "enum fast,good".
func optionOf(t *testing.T, text string) core.Option {
	t.Helper()
	kind, rest, _ := strings.Cut(strings.Trim(text, "`"), " ")
	o := core.Option{Name: "option", Type: core.OptionType(kind)}
	lo, hi, limits := strings.Cut(rest, "..")
	if o.Type == core.EnumOption {
		o.Choices = strings.Split(rest, ",")
	}
	for _, l := range []struct {
		text string
		to   **float64
	}{{lo, &o.Min}, {hi, &o.Max}} {
		if limits && l.text != "" {
			f, err := strconv.ParseFloat(l.text, 64)
			if err != nil {
				t.Fatal(err)
			}
			*l.to = &f
		}
	}
	return o
}

// outcome holds what an option makes of a value against the cell that says so.
func outcome(t *testing.T, row []string, got any, err error) {
	t.Helper()
	if why, refused := strings.CutPrefix(row[2], "refused: "); refused {
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s, %s: got %v, %v; the document says: %s", row[0], row[1], got, err, row[2])
		}
		return
	}
	if want := strings.Trim(row[2], "`"); err != nil || fmt.Sprint(got) != want {
		t.Errorf("%s, %s: got %v, %v; the document says: %s", row[0], row[1], got, err, row[2])
	}
}

// TestOptions holds the tables of the document against core.
func TestOptions(t *testing.T) {
	t.Parallel()
	const types, values, texts = "| type | in Go | in Python | limits |", "| option | value | becomes |", "| option | text | becomes |"
	rows := tableRows(t, "reference/options.md", types, values, texts)
	var named []core.OptionType
	for _, r := range rows[types] {
		named = append(named, core.OptionType(strings.Trim(r[0], "`")))
	}
	if fmt.Sprint(named) != fmt.Sprint(core.OptionTypes) {
		t.Errorf("the document has the types %v, core %v", named, core.OptionTypes)
	}
	tried := map[core.OptionType]int{}
	for _, r := range rows[values] {
		o := optionOf(t, r[0])
		tried[o.Type]++
		d := json.NewDecoder(bytes.NewReader([]byte(strings.Trim(r[1], "`"))))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s is not JSON: %v", r[1], err)
		}
		got, err := o.Check(v)
		outcome(t, r, got, err)
	}
	for _, r := range rows[texts] {
		got, err := optionOf(t, r[0]).Parse(strings.Trim(r[1], "`"))
		outcome(t, r, got, err)
	}
	for _, k := range core.OptionTypes {
		if tried[k] < 2 {
			t.Errorf("the document shows %d values of %s", tried[k], k)
		}
	}
}

// TestOptionsTakeLimitsAsSaid wants limits refused where the document says that there are none.
func TestOptionsTakeLimitsAsSaid(t *testing.T) {
	t.Parallel()
	limited := regexp.MustCompile("`min`")
	for _, r := range tableRows(t, "reference/options.md")["| type | in Go | in Python | limits |"] {
		o := optionOf(t, r[0])
		one := 1.0
		o.Min, o.Max = &one, &one
		o.Choices = nil
		value := map[core.OptionType]any{core.FloatOption: 2.0, core.IntOption: 2, core.DurationOption: 2}[o.Type]
		if takes := value != nil; takes != limited.MatchString(r[3]) {
			t.Errorf("%s: the document says %q", r[0], r[3])
		} else if takes {
			if _, err := o.Check(value); err == nil {
				t.Errorf("%s: its limits are not kept", r[0])
			}
		}
	}
}

// TestOptionsInPython runs the declarations of the document.
func TestOptionsInPython(t *testing.T) {
	t.Parallel()
	needPython(t)
	var program strings.Builder
	program.WriteString("import sys; sys.path.insert(0, '../sdk/python')\nimport capstan\nfrom datetime import timedelta\n")
	for _, r := range tableRows(t, "reference/options.md")["| type | in Go | in Python | limits |"] {
		fmt.Fprintf(&program, "assert (%s).type == %q, %[1]q\n", strings.Trim(r[2], "`"), strings.Trim(r[0], "`"))
	}
	if err := run(".", python, "-c", program.String()); err != nil {
		t.Error(err)
	}
}
