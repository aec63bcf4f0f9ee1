package sqlstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// check looks at the values of one thing before they are written, and keeps the first fault.
type check struct {
	noun string
	err  error
}

func (c *check) refuse(field, format string, args ...any) {
	if c.err == nil {
		c.err = core.Faultf(core.Invalid, "store", c.noun, "%s %s", field, fmt.Sprintf(format, args...))
	}
}

// storable says whether both databases can keep the text.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// name checks what stands in an index, text what does not.
func (c *check) name(field, s string) { c.within(field, s, store.MaxName) }
func (c *check) text(field, s string) { c.within(field, s, store.MaxText) }

func (c *check) within(field, s string, most int) {
	switch {
	case len(s) > most:
		c.refuse(field, "is %d bytes long: at most %d can be kept", len(s), most)
	case !utf8.ValidString(s):
		c.refuse(field, "is not UTF-8: %s", quoted(s))
	case strings.ContainsRune(s, 0):
		c.refuse(field, "has the character NUL, which cannot be kept: %s", quoted(s))
	}
}

func (c *check) finite(field string, f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		c.refuse(field, "is %v, which is not a number that can be kept", f)
	}
}

// json gives v as JSON text.
func (c *check) json(field string, v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		c.refuse(field, "cannot be written as JSON: %v", err)
		return ""
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if len(text) > store.MaxJSON {
		c.refuse(field, "is %d bytes long as JSON: at most %d can be kept", len(text), store.MaxJSON)
	}
	return text
}

// object gives a user's own values as JSON text; durations as text, such as options take.
func (c *check) object(field string, m map[string]any) string {
	if m == nil {
		return "{}"
	}
	return c.json(field, c.plain(field, m))
}

// plain copies a value with its durations as text, and refuses text in it that cannot be kept:
// the encoder would change what is not UTF-8.
func (c *check) plain(field string, v any) any {
	switch v := v.(type) {
	case string:
		c.within(field, v, store.MaxJSON)
	case time.Duration:
		return v.String()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = c.plain(field, v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, each := range v {
			c.within(field, k, store.MaxJSON)
			out[k] = c.plain(field, each)
		}
		return out
	}
	return v
}

// quoted shows the beginning of a text that is out of order.
func quoted(s string) string {
	if len(s) > 40 {
		return strconv.Quote(s[:40]) + "…"
	}
	return strconv.Quote(s)
}

// tidy makes any text storable: of messages, which must not fail for how they look.
func tidy(s string, most int) string {
	s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// fromObject is the inverse of check.object.
func fromObject(text string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	m := map[string]any{}
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one value")
	}
	return numbers(m).(map[string]any), nil
}

// numbers gives the numbers of a value as float64 where those are written the same.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return v
		}
		if text, err := json.Marshal(f); err != nil || string(text) != v.String() {
			return v
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// words gives the text in a user's own values, keys first, for searching.
func words(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
			return words(f)
		}
		return []string{v.String()}
	case []any:
		var out []string
		for _, each := range v {
			out = append(out, words(each)...)
		}
		return out
	case map[string]any:
		var out []string
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			out = append(append(out, k), words(v[k])...)
		}
		return out
	case nil, bool:
		return nil
	}
	return []string{fmt.Sprint(v)}
}

// fold makes texts that differ in case the same.
func fold(s string) string { return strings.ToLower(s) }
