package httpx

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/hashicorp/go-hclog"
)

func parse(t *testing.T, text string) Value {
	t.Helper()
	v, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestParseJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "syntax", " \n": "syntax", "{": "syntax", "1 2": "syntax", "NaN": "syntax", "\"\xff\"": "syntax", "'a'": "syntax",
		`"\u0000"`: "format", `"\\u0000"`: "", `"\\\u0000"`: "format", strings.Repeat("[", 101) + strings.Repeat("]", 101): "format",
		strings.Repeat("[", 100) + strings.Repeat("]", 100): "", `"[[[\"{{{"`: "", strings.Repeat(`["]",`, 101): "format", "null": "", " 1 ": "",
	} {
		_, err := ParseJSON([]byte(text))
		got, syntax, format := "", (*SyntaxError)(nil), (*FormatError)(nil)
		switch {
		case errors.As(err, &syntax):
			got = "syntax"
		case errors.As(err, &format):
			got = "format"
		}
		if got != want {
			t.Errorf("%.40q: %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	text := func(v Value) (any, error) { return v.Text() }
	flag := func(v Value) (any, error) { return v.Bool() }
	number := func(v Value) (any, error) { return v.Float() }
	whole := func(v Value) (any, error) { return v.Int() }
	for _, c := range []struct {
		name string
		get  func(Value) (any, error)
		json string
		want any // nil: an error
	}{
		{"text", text, `"ü\n"`, "ü\n"},
		{"number for text", text, `5`, nil},
		{"null for text", text, `null`, nil},
		{"true", flag, `true`, true},
		{"text for a flag", flag, `"true"`, nil},
		{"number for a flag", flag, `1`, nil},
		{"float", number, `-1.5e3`, -1500.0},
		{"huge float", number, `1e999`, nil},
		{"text for a float", number, `"1"`, nil},
		{"whole", whole, `9007199254740993`, int64(9007199254740993)},
		{"whole with a point", whole, `3.0`, int64(3)},
		{"fraction", whole, `3.5`, nil},
		{"huge whole", whole, `99999999999999999999`, nil},
		{"flag for a whole", whole, `true`, nil},
	} {
		got, err := c.get(parse(t, c.json))
		if c.want == nil != (err != nil) || (err == nil && !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

// TestWrongNamesThePlace follows a value through lists and objects.
func TestWrongNamesThePlace(t *testing.T) {
	t.Parallel()
	o, err := parse(t, `{"alarms":[{},{"name":{"Name":5}}]}`).Object()
	if err != nil {
		t.Fatal(err)
	}
	list, err := o.Get("alarms").List()
	if err != nil {
		t.Fatal(err)
	}
	alarm, err := list[1].Object()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := alarm.Get("name").Object()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Name": `alarms[1].name.Name: "5" is not a string`, "name": `alarms[1].name.name: is missing; it must be a string`,
	} {
		if _, err := inner.Get(name).Text(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestAny(t *testing.T) {
	t.Parallel()
	o, err := parse(t, `{"a":[1,2.5,9223372036854775807,18446744073709551615,1.0,1e3,0.1,null,{"b":true}]}`).Object()
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.Map()
	want := map[string]any{"a": []any{int64(1), 2.5, int64(9223372036854775807), json.Number("18446744073709551615"), json.Number("1.0"), json.Number("1e3"), 0.1, nil, map[string]any{"b": true}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v", got, err)
	}
	if _, err := parse(t, `{"a":[1e400]}`).Any(); err == nil {
		t.Error("1e400 is taken")
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  io.Reader
		limit int64
		fails bool
	}{
		"fits": {strings.NewReader("12345"), 5, false}, "does not": {strings.NewReader("123456"), 5, true},
		"does not, of unknown length": {io.MultiReader(strings.NewReader("123456")), 5, true},
	} {
		_, err := ReadAll(httptest.NewRequest("POST", "/", c.body), c.limit)
		var large *TooLargeError
		if errors.As(err, &large) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRecover answers a panic, and lets the one through that breaks a connection off.
func TestRecover(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	f := NewFailer(hclog.NewNullLogger(), func(error) Reply { return Reply{Status: 500, Body: map[string]string{"title": "x"}} })
	e.Use(Log(hclog.NewNullLogger()), Recover(hclog.NewNullLogger(), f.Fail))
	e.GET("/panic", func(c *gin.Context) { c.Header("Set-Cookie", "a=b"); panic("x") })
	e.GET("/late", func(c *gin.Context) { WriteBytes(c, 200, "text/plain", []byte("abc")); panic("x") })
	e.GET("/abort", func(*gin.Context) { panic(http.ErrAbortHandler) })
	s := httptest.NewServer(e)
	defer s.Close()
	answer, err := http.Get(s.URL + "/panic")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var body map[string]string
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || answer.StatusCode != 500 || body["title"] != "x" || answer.Header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v %v %v", answer.StatusCode, body, answer.Header, err)
	}
	for _, path := range []string{"/late", "/abort"} {
		answer, err := http.Get(s.URL + path)
		if err == nil {
			b, e := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err = e; string(b) == "abc" && path == "/late" {
				err = io.ErrUnexpectedEOF // all of it had left before
			}
		}
		if err == nil {
			t.Errorf("%s: the connection was not broken off", path)
		}
	}
}

// FuzzParseJSON agrees with encoding/json on what is JSON.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,"\u0000"]}`, `"\\\"["`, "[[[", "1e999", `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseJSON(b)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is taken", b)
		}
		x, err := v.Any()
		if err != nil {
			return
		}
		if _, err := Marshal(x); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	})
}
